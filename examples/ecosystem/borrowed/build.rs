//! Asks cargo where the sources of the libraries are whose own tests are run here, and makes those tests ready to be included:
//! what names another runtime names this one instead.

#![forbid(unsafe_code)]

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// A file with tests, in the sources of a library.
struct Borrowed {
    library: &'static str,
    file: &'static str,
    /// What it is called here.
    name: &'static str,
    /// What is replaced by what; `FOLDER` stands for that of the file.
    replaced: &'static [(&'static str, &'static str)],
}

const BORROWED: [Borrowed; 3] = [
    Borrowed {
        library: "futures-rustls",
        file: "tests/test.rs",
        name: "futures_rustls.rs",
        replaced: &[
            ("include_str!(\"", "include_str!(\"FOLDER/"),
            ("include_bytes!(\"", "include_bytes!(\"FOLDER/"),
        ],
    },
    Borrowed {
        library: "hyper-util",
        file: "tests/legacy_client.rs",
        name: "legacy_client.rs",
        replaced: &[
            // Only at the beginning of a file, which it no longer is.
            ("#![cfg(", "#[cfg("),
            ("#[tokio::test]", TEST),
            // What these two count is right only if no task runs on another thread: they can fail with tokio's own runtime of
            // several threads, too.
            ("#[test]\nfn alpn_h2", "fn alpn_h2"),
            (
                "#[test]\nfn connection_poisoning",
                "fn connection_poisoning",
            ),
            // Ours, and a module of its own in ours.
            ("crate::", "crate::legacy_client::"),
            ("tokio::runtime::", "crate::runtime::"),
            (
                "mod test_utils;",
                "#[path = \"FOLDER/test_utils/mod.rs\"] mod test_utils;",
            ),
        ],
    },
    Borrowed {
        library: "hyper-util",
        file: "tests/proxy.rs",
        name: "proxy.rs",
        replaced: &[
            ("#![cfg(", "#[cfg("),
            ("#[tokio::test]", TEST),
            // One of them looks it up, for which there need be no network.
            ("hyper.rs", "localhost"),
        ],
    },
];
const TEST: &str = "#[asyncio::test(tokio, timeout = \"60s\")]";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Other versions have other sources.
    println!("cargo::rerun-if-changed=../Cargo.lock");
    let packages = packages();
    let folder = env::var("OUT_DIR").expect("cargo names a folder");
    for borrowed in BORROWED {
        let path =
            Path::new(manifest_of(&packages, borrowed.library)).with_file_name(borrowed.file);
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{} of {}: {error}", borrowed.file, borrowed.library));
        let text = borrowed.replaced.iter().fold(text, |text, (from, to)| {
            assert!(text.contains(from), "{} has no {from}", borrowed.file);
            let folder = path.parent().expect("a folder").display().to_string();
            text.replace(from, &to.replace("FOLDER", &folder))
        });
        fs::write(Path::new(&folder).join(borrowed.name), text).expect("the folder is cargo's");
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
