//! Asks cargo where the sources of the libraries are whose own tests are run here.

#![forbid(unsafe_code)]

use std::env;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The variable that tells a test file where the library's own one is; the library; that file in its sources.
const BORROWED: [(&str, &str, &str); 1] =
    [("FUTURES_RUSTLS_TESTS", "futures-rustls", "tests/test.rs")];

fn main() {
    // Another version comes with another manifest or lock file, for which cargo builds anew.
    println!("cargo::rerun-if-changed=build.rs");
    let packages = packages();
    for (variable, library, file) in BORROWED {
        let path = Path::new(manifest_of(&packages, library)).with_file_name(file);
        assert!(path.exists(), "{library} comes without {file}");
        println!("cargo::rustc-env={variable}={}", path.display());
    }
}

/// All that this workspace is built of, as cargo describes it.
fn packages() -> Value {
    let cargo = env::var_os("CARGO").expect("cargo names itself");
    let target = env::var("TARGET").expect("cargo names the target");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1"])
        // What is for other systems has not been downloaded.
        .args(["--filter-platform", &target])
        .output()
        .expect("cargo starts");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let mut described: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    described["packages"].take()
}

fn manifest_of<'a>(packages: &'a Value, library: &str) -> &'a str {
    let packages = packages.as_array().expect("a list of packages");
    packages
        .iter()
        .find(|package| package["name"] == library)
        .and_then(|package| package["manifest_path"].as_str())
        .unwrap_or_else(|| panic!("cargo knows no {library}"))
}
