//! Where the libraries of a GPU would be found on this machine; none of them is opened.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The driver, the compiler of kernels, and the products of matrices; whatever follows these words in a
/// file's name is its version.
pub const LIBRARIES: [&str; 3] = ["libcuda.so.1", "libnvrtc.so", "libcublasLt.so"];

/// The places that are searched, in words.
pub const SEARCHED: &str = "LD_LIBRARY_PATH, the loader's folders (ld.so.conf), CUDA_HOME, CUDA_PATH, /usr/local/cuda, \
                            site-packages/nvidia/*/lib of VIRTUAL_ENV, CONDA_PREFIX and the system's Python";

/// The folders to search, in order, of an environment and the system below `root`.
pub fn folders(environment: &dyn Fn(&str) -> Option<OsString>, root: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let own = |name: &str| environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(paths) = environment("LD_LIBRARY_PATH") {
        all.extend(std::env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty()));
    }
    for file in children(&root.join("etc/ld.so.conf.d")) {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let lines = text.lines().map(str::trim).filter(|line| line.starts_with('/'));
        all.extend(lines.map(|line| root.join(line.trim_start_matches('/'))));
    }
    let machine = format!("{}-linux-gnu", std::env::consts::ARCH);
    for folder in [format!("lib/{machine}"), format!("usr/lib/{machine}")] {
        all.push(root.join(folder));
    }
    all.extend(["lib64", "usr/lib64", "lib", "usr/lib", "usr/local/lib"].map(|folder| root.join(folder)));
    let homes = [own("CUDA_HOME"), own("CUDA_PATH"), Some(root.join("usr/local/cuda"))];
    for home in homes.into_iter().flatten() {
        all.extend(["lib64", "lib", "targets/x86_64-linux/lib"].map(|folder| home.join(folder)));
    }
    let pythons = [own("VIRTUAL_ENV"), own("CONDA_PREFIX"), Some(root.join("usr/local")), Some(root.join("usr"))];
    for python in pythons.into_iter().flatten() {
        all.push(python.join("lib"));
        for version in children(&python.join("lib")) {
            if !version.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python")) {
                continue;
            }
            for packages in ["site-packages/nvidia", "dist-packages/nvidia"] {
                all.extend(children(&version.join(packages)).into_iter().map(|package| package.join("lib")));
            }
        }
    }
    all
}

/// The first file of a library in these folders.
pub fn find(library: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let named = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.strip_prefix(library).is_some_and(|version| version.is_empty() || version.starts_with('.'))
    };
    folders.iter().find_map(|folder| children(folder).into_iter().find(|path| named(path) && path.is_file()))
}

/// What a folder holds, by name; nothing where it is none.
fn children(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_is_searched_and_the_first_wins() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            path
        };
        let environment = |name: &str| match name {
            "LD_LIBRARY_PATH" => Some(root.path().join("named").into_os_string()),
            "CUDA_HOME" => Some(root.path().join("toolkit").into_os_string()),
            "VIRTUAL_ENV" => Some(root.path().join("venv").into_os_string()),
            _ => None,
        };
        let found = |library: &str| find(library, &folders(&environment, root.path()));
        put("usr/lib64/libcuda.so");
        put("usr/lib64/libnvrtc-builtins.so.12.4");
        assert!(LIBRARIES.iter().all(|library| found(library).is_none()));
        // From the last place to the first.
        for path in [
            "venv/lib/python3.12/site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12",
            "usr/local/cuda/lib64/libnvrtc.so.12",
            "toolkit/lib64/libnvrtc.so.12.4.127",
            "usr/lib64/libnvrtc.so",
            "opt/gpu/libnvrtc.so.13",
            "named/libnvrtc.so.13",
        ] {
            if path.starts_with("opt") {
                std::fs::write(put("etc/ld.so.conf.d/gpu.conf"), "# ours\n/opt/gpu\n").unwrap();
            }
            let right = put(path);
            assert_eq!(found("libnvrtc.so"), Some(right));
        }
        assert_eq!(found("libcuda.so.1"), None);
    }
}
