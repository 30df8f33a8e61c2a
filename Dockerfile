# docker build -t redpajama .
# docker run --rm -v "$PWD":/corpus redpajama build github --input 'raw/*.json.gz' --output out/github
#
# Pipelines and manifests are embedded in the binaries: the image needs nothing beside them.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /source
COPY . .
# Every binary of the workspace, also one that a later crate brings.
RUN cargo build --release --locked --workspace --bins \
    && mkdir /binaries \
    && find target/release -maxdepth 1 -type f -executable ! -name '*.*' -exec cp {} /binaries/ ';' \
    && test -x /binaries/redpajama

# The same Debian as the builder's, so that the binaries find the C library that they were linked with.
FROM debian:bookworm-slim
# A user of our own: what a container writes never belongs to root. Give `--user` to write as yourself.
RUN useradd --uid 1000 --create-home redpajama
COPY --from=build /binaries/ /usr/local/bin/
USER redpajama
WORKDIR /corpus
ENTRYPOINT ["redpajama"]
CMD ["--help"]
