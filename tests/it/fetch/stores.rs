//! Fetching from buckets and from Hugging Face, and who is trusted with what.

use std::fs;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::server::{Reply, Server, file};
use crate::support::{Folder, Said, said, tokenizer};

/// Runs a command with variables of the environment.
fn with(folder: &Folder, command: &str, variables: &[(&str, &str)]) -> Said {
    said(folder.command(command).envs(variables.iter().copied()).output().unwrap())
}

#[test]
fn buckets_are_listed_and_their_requests_signed() {
    let server = Server::new(|request| {
        let path = request.path.split('?').next().unwrap();
        match (path, request.path.contains("continuation-token=more%2F1")) {
            ("/bucket/", false) => Reply { status: 200, ..Reply::default() }.body(
                "<ListBucketResult><NextContinuationToken>more/1</NextContinuationToken>\
                 <Contents><Key>a/</Key><Size>0</Size></Contents>\
                 <Contents><Key>a/x y.gz</Key><Size>3</Size></Contents></ListBucketResult>",
            ),
            ("/bucket/", true) => Reply { status: 200, ..Reply::default() }
                .body("<ListBucketResult><Contents><Key>a/z.txt</Key><Size>4</Size></Contents></ListBucketResult>"),
            ("/bucket/a/x%20y.gz", _) => file(request, b"red", "\"a\""),
            _ => Reply::status(404),
        }
    });
    let folder = Folder::new();
    let command = folder.fetching("  - url: s3://bucket/a/*.gz");
    let endpoint = server.url("");
    let keys = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "s3cret"), ("AWS_SESSION_TOKEN", "t0ken")];
    let said =
        with(&folder, &command, &[&keys[..], &[("AWS_ENDPOINT_URL", &endpoint), ("AWS_REGION", "eu-west-3")]].concat());
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(folder.fetched("x y.gz"), b"red");
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    for request in &seen {
        let authorization = request.header("authorization").unwrap();
        assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKID/"), "{authorization}");
        assert!(authorization.contains("/eu-west-3/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature="), "{authorization}");
        assert_eq!(
            (request.header("x-amz-security-token"), request.header("x-amz-request-payer")),
            (Some("t0ken"), None)
        );
    }
    assert!(seen[0].path.contains("list-type=2&prefix=a%2F"), "{}", seen[0].path);
    for text in [said.err, said.out, folder.lock()] {
        assert!(!text.contains("s3cret") && !text.contains("t0ken"), "{text}");
    }
    // Who pays says so, and says who it is.
    let paying = folder.fetching(
        "  - url: s3://bucket/a/x y.gz\n    file: y.gz\n    requester_pays: { gigabyte: 0.09, currency: USD, source: a test }",
    );
    let paying = format!("{} --pay", paying.trim());
    folder.write("c4.yaml", fs::read_to_string(folder.path("c4.yaml")).unwrap().replace("a/x y.gz", "a/*.gz"));
    let nobody = with(&folder, &paying, &[("AWS_ENDPOINT_URL", &endpoint)]);
    assert_eq!(nobody.code, 64, "{}", nobody.err);
    assert!(nobody.err.contains("who pays must say who it is, with AWS_ACCESS_KEY_ID"), "{}", nobody.err);
    let said = with(&folder, &paying, &[&keys[..2], &[("AWS_ENDPOINT_URL", &endpoint)]].concat());
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(server.seen().last().unwrap().header("x-amz-request-payer"), Some("requester"));
    // Without credentials, a bucket is asked as anybody.
    let command = folder.fetching("  - url: s3://bucket/none");
    let said = with(&folder, &command, &[("AWS_ENDPOINT_URL", &endpoint)]);
    assert!(said.code == 64 && said.err.contains("s3://bucket/none: there is no such file"), "{}", said.err);
    assert_eq!(server.seen().last().unwrap().header("authorization"), None);
}

#[test]
fn google_s_buckets_are_read_with_a_token() {
    const MD5_OF_RED: &str = "valkOsZgFyKijyOHFCdNpA==";
    let server = Server::new(|request| match request.path.split('?').next().unwrap() {
        "/token" => {
            Reply { status: 200, ..Reply::default() }.body("{\"access_token\": \"t0ken\", \"expires_in\": 3600}")
        }
        "/storage/v1/b/bucket/o" if !request.path.contains("pageToken=2") => Reply { status: 200, ..Reply::default() }
            .body("{\"items\": [{\"name\": \"g/1.gz\", \"size\": \"3\"}], \"nextPageToken\": \"2\"}"),
        "/storage/v1/b/bucket/o" => {
            Reply { status: 200, ..Reply::default() }.body("{\"items\": [{\"name\": \"g/2.gz\", \"size\": \"3\"}]}")
        }
        "/bucket/g/1.gz" => file(request, b"red", "\"a\"").header("x-goog-hash", format!("crc32c=x,md5={MD5_OF_RED}")),
        // A bucket that tells another digest than that of what it sends.
        "/bucket/g/2.gz" => file(request, b"rod", "\"a\"").header("x-goog-hash", format!("md5={MD5_OF_RED}")),
        _ => Reply::status(404),
    });
    let folder = Folder::new();
    let credentials = serde_json::json!({
        "type": "authorized_user", "client_id": "me", "client_secret": "s3cret", "refresh_token": "r3fresh",
        "token_uri": server.url("/token"),
    });
    let credentials = folder.write("credentials.json", credentials.to_string()).display().to_string();
    let host = format!("127.0.0.1:{}", server.port);
    let variables =
        [("STORAGE_EMULATOR_HOST", host.as_str()), ("GOOGLE_APPLICATION_CREDENTIALS", credentials.as_str())];
    let said = with(&folder, &folder.fetching("  - url: gs://bucket/g/"), &variables);
    assert_eq!(said.code, 65, "{}", said.err);
    assert!(said.err.contains("gs://bucket/g/2.gz: wrong bytes came, twice over: its MD5 is"), "{}", said.err);
    assert_eq!(folder.fetched("1.gz"), b"red");
    let seen = server.seen();
    assert_eq!(seen.iter().filter(|request| request.path == "/token").count(), 1);
    assert!(seen[0].body.contains("refresh_token=r3fresh") && seen[0].body.contains("grant_type=refresh_token"));
    assert!(seen[1..].iter().all(|request| request.header("authorization") == Some("Bearer t0ken")));
    for secret in ["s3cret", "r3fresh", "t0ken"] {
        assert!(!said.err.contains(secret) && !folder.lock().contains(secret));
    }
    let wrong = folder.write("wrong.json", "s3cret").display().to_string();
    let variables = [("STORAGE_EMULATOR_HOST", host.as_str()), ("GOOGLE_APPLICATION_CREDENTIALS", wrong.as_str())];
    let said = with(&folder, &folder.fetching("  - url: gs://bucket/g/3.gz"), &variables);
    assert!(said.code == 64 && said.err.contains("not a file of credentials"), "{}", said.err);
}

/// Serves what Hugging Face does: large files lie on another host, which is given no token.
fn hugging_face(contents: &'static [u8], sha256: &'static str) -> (Server, Server) {
    let store = Server::new(move |request| file(request, contents, "\"store\""));
    let there = format!("http://localhost:{}/blob", store.port);
    let hub = Server::new(move |request| match request.path.split('?').next().unwrap() {
        "/api/datasets/o/n/tree/main/en" => Reply { status: 200, ..Reply::default() }.body(format!(
            "[{{\"type\": \"directory\", \"path\": \"en/x\", \"size\": 0}},\
              {{\"type\": \"file\", \"path\": \"en/a.json.gz\", \"size\": {}, \"lfs\": {{\"oid\": \"{sha256}\"}}}},\
              {{\"type\": \"file\", \"path\": \"en/README.md\", \"size\": 3}}]",
            contents.len()
        )),
        path if path.contains("/resolve/main/") => Reply::status(302)
            .header("Location", there.clone())
            .header("X-Linked-Size", contents.len().to_string())
            .header("X-Linked-ETag", format!("\"{sha256}\"")),
        _ => Reply::status(404),
    });
    (hub, store)
}

#[test]
fn hugging_face_s_files_are_listed_and_checked() {
    let sha256 = "b1f51a511f1da0cd348b8f8598db32e61cb963e5fc69e2b41485bf99590ed75a";
    let (hub, store) = hugging_face(b"red", sha256);
    let folder = Folder::new();
    let endpoint = hub.url("");
    let variables = [("HF_ENDPOINT", endpoint.as_str()), ("HF_TOKEN", "hf_s3cret")];
    let said = with(&folder, &folder.fetching("  - url: hf://datasets/o/n/en/*.gz"), &variables);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(folder.lies(), [".fetch.lock", "a.json.gz"]);
    assert!(folder.lock().contains(sha256), "{}", folder.lock());
    assert!(hub.seen().iter().all(|request| request.header("authorization") == Some("Bearer hf_s3cret")));
    assert!(store.seen().iter().all(|request| request.header("authorization").is_none()));
    assert!(!said.err.contains("hf_s3cret"));
}

#[test]
fn a_pipeline_s_model_is_fetched_on_first_use() {
    let contents: &'static [u8] = Vec::leak(fs::read(tokenizer()).unwrap());
    // Small files' etags are no SHA-256, and say nothing of the contents.
    let (hub, store) = hugging_face(contents, "0123456789abcdef0123456789abcdef01234567");
    let folder = Folder::new();
    folder.corpus();
    let endpoint = hub.url("");
    let build = "build c4 --input raw --output out --set tokenizer=hf://o/n/tokenizer.json";
    let said = with(&folder, build, &[("HF_ENDPOINT", &endpoint)]);
    assert_eq!(said.code, 64, "{}", said.err);
    assert!(said.err.contains("REDPAJAMA_OFFLINE is set"), "{}", said.err);
    let online = [("HF_ENDPOINT", endpoint.as_str()), ("REDPAJAMA_OFFLINE", "")];
    let said = with(&folder, build, &online);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(store.seen().iter().all(|request| request.method == "GET"));
    assert!(said.err.contains("fetching hf://o/n/tokenizer.json"), "{}", said.err);
    let asked = store.seen().len();
    assert_eq!(with(&folder, build, &online).code, 0);
    assert_eq!(store.seen().len(), asked, "it was here");
    folder.fine("verify out");
}

#[test]
fn models_are_known_by_name() {
    let folder = Folder::new();
    let said = folder.fine("fetch --model gpt-neox-20b lid.176 --plan").out;
    assert!(said.contains("models → models: 2 files, 128 MiB, 0 there"), "{said}");
    let said = folder.ends("fetch --model lid.177", 2);
    assert!(said.err.contains("did you mean `lid.176`?"), "{}", said.err);
    let said = folder.ends("fetch", 2);
    assert!(said.err.contains("cc-net-{language}.arpa") && said.err.contains("--slice"), "{}", said.err);
    let said = folder.ends("fetch --slice c5", 2);
    assert!(said.err.contains("did you mean `c4`?"), "{}", said.err);
}

/// Runs OpenSSL; nothing where there is none.
fn openssl(folder: &Folder, arguments: &str) -> Option<std::process::Output> {
    let run = std::process::Command::new("openssl")
        .current_dir(folder.path(""))
        .args(arguments.split(' '))
        .stdin(std::process::Stdio::null())
        .output();
    match run {
        Ok(output) => Some(output),
        Err(_) => {
            eprintln!("not tested: there is no openssl here");
            None
        }
    }
}

#[test]
fn a_service_signs_for_its_token() {
    let folder = Folder::new();
    let made = openssl(&folder, "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem");
    if made.is_none_or(|made| !made.status.success()) {
        return;
    }
    openssl(&folder, "pkey -in key.pem -pubout -out public.pem").unwrap();
    let server = Server::new(|request| match request.path.as_str() {
        "/token" => {
            Reply { status: 200, ..Reply::default() }.body("{\"access_token\": \"t0ken\", \"expires_in\": 3600}")
        }
        _ => file(request, b"red", "\"a\""),
    });
    let credentials = serde_json::json!({
        "type": "service_account", "client_email": "me@service.example", "token_uri": server.url("/token"),
        "private_key": fs::read_to_string(folder.path("key.pem")).unwrap(),
    });
    let credentials = folder.write("credentials.json", credentials.to_string()).display().to_string();
    let host = server.url("");
    let variables =
        [("STORAGE_EMULATOR_HOST", host.as_str()), ("GOOGLE_APPLICATION_CREDENTIALS", credentials.as_str())];
    let said = with(&folder, &folder.fetching("  - url: gs://bucket/a.bin"), &variables);
    assert_eq!(said.code, 0, "{}", said.err);
    let seen = server.seen();
    assert_eq!(seen[1].header("authorization"), Some("Bearer t0ken"));
    let assertion = seen[0].body.split("assertion=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let decoded = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&decoded(signed.split('.').nth(1).unwrap())).unwrap();
    assert_eq!(
        (claims["iss"].as_str(), claims["aud"].as_str()),
        (Some("me@service.example"), Some(server.url("/token").as_str()))
    );
    folder.write("signed", signed);
    folder.write("signature", decoded(signature));
    let verified = openssl(&folder, "dgst -sha256 -verify public.pem -signature signature signed").unwrap();
    assert!(String::from_utf8_lossy(&verified.stdout).contains("Verified OK"));
}

#[test]
fn certificates_are_checked() {
    let folder = Folder::new();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    let made = openssl(&folder, &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=ca"));
    if made.is_none_or(|made| !made.status.success()) {
        return;
    }
    folder.write("extensions", "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n");
    openssl(&folder, &format!("req {key} -keyout key.pem -out asked.pem -subj /CN=localhost")).unwrap();
    let signed =
        "x509 -req -in asked.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out cert.pem";
    openssl(&folder, signed).unwrap();
    folder.write("a.bin", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nred");
    folder.write(
        "down.bin",
        "HTTP/1.1 302 Found\r\nLocation: http://localhost:1/a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    );
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = std::process::Command::new("openssl")
        .current_dir(folder.path(""))
        .args(["s_server", "-accept", &port.to_string(), "-cert", "cert.pem", "-key", "key.pem", "-HTTP", "-quiet"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let fetch = |name: &str, variables: &[(&str, &str)]| {
        let command = folder.fetching(&format!("  - url: https://localhost:{port}/{name}"));
        with(&folder, &command, variables)
    };
    let authority = folder.path("ca.pem").display().to_string();
    let trusted = [("SSL_CERT_FILE", authority.as_str())];
    for _ in 0..2000 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let fine = fetch("a.bin", &trusted);
    let unknown = fetch("a.bin", &[]);
    fs::remove_file(folder.path("raw/c4/a.bin")).unwrap_or_default();
    let unknown_too = fetch("a.bin", &[]);
    let down = fetch("down.bin", &trusted);
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!((fine.code, unknown.code), (0, 0), "{}\n{}", fine.err, unknown.err);
    assert_eq!(unknown_too.code, 64, "{}", unknown_too.err);
    assert!(
        unknown_too.err.contains("UnknownIssuer") && unknown_too.err.contains("SSL_CERT_FILE"),
        "{}",
        unknown_too.err
    );
    assert!(down.code == 64 && down.err.contains("a redirect from https to an open connection"), "{}", down.err);
}

#[test]
fn a_bucket_elsewhere_is_found() {
    let server = Server::new(|request| match request.header("authorization") {
        Some(signed) if signed.contains("/ap-south-1/s3/") => file(request, b"red", "\"a\""),
        _ => Reply::status(400).header("x-amz-bucket-region", "ap-south-1"),
    });
    let folder = Folder::new();
    folder.write(".aws/credentials", "[else]\naws_access_key_id=AKID\naws_secret_access_key=s3cret\n");
    let endpoint = server.url("");
    let command = folder.fetching("  - url: s3://bucket/a.bin\n    each: { x: [1] }");
    let said = with(&folder, &command, &[("AWS_ENDPOINT_URL_S3", &endpoint), ("AWS_PROFILE", "else")]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!((folder.fetched("a.bin"), server.seen().len()), (b"red".to_vec(), 2));
}

#[test]
fn a_build_reads_hugging_face_s_files() {
    let line: &'static [u8] = Vec::leak(crate::support::record("The tide came in.").into_bytes());
    let (hub, store) = hugging_face(line, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    let folder = Folder::new();
    folder.pipeline("p.yaml", "tokenize: {}, pack: {}");
    let endpoint = hub.url("");
    let build = "build p.yaml --input hf://datasets/o/n/en/*.gz --output out";
    let said = with(&folder, build, &[("HF_ENDPOINT", &endpoint), ("HF_TOKEN", "hf_s3cret")]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(folder.kept("out", "c4"), 1);
    assert!(store.seen().iter().all(|request| request.method == "GET" && request.header("authorization").is_none()));
    let catalog = folder.catalog("out").to_string();
    assert!(catalog.contains("c4/a.json.gz") && !catalog.contains("s3cret"), "{catalog}");
}
