//! Every way to rename a dependency, and every way not to.

use super::*;

fn name(manifest: &str) -> Option<String> {
    name_with_workspace(manifest, "")
}

fn name_with_workspace(manifest: &str, workspace: &str) -> Option<String> {
    let manifest = toml::parse(manifest).expect("TOML");
    let workspace = toml::parse(workspace).expect("TOML");
    renamed(&manifest, || workspace.take_table("workspace"))
}

#[test]
fn a_rename_is_found_in_every_spelling() {
    let manifests = [
        "[dependencies]\naio = { package = \"asyncio\", version = \"1\" }",
        "[dependencies]\naio={version='1',package='asyncio'}",
        "[dependencies]\naio = {\n  version = \"1\", # TOML 1.1\n  package = \"asyncio\",\n}",
        "[dependencies]\naio.version = \"1\"\naio.package = \"asyncio\"",
        "[dependencies]\n\"aio\" . 'package' = \"asyncio\"",
        "[dependencies.aio]\npackage = \"asyncio\"\nversion = \"1\"",
        "[ dependencies . \"aio\" ] # one\npackage = \"\"\"asyncio\"\"\"",
        "dependencies.aio.package = \"asyncio\"",
        "dependencies = { aio = { package = \"asyncio\" } }",
        "[dev-dependencies]\naio = { package = \"asyncio\" }",
        "[build-dependencies]\naio = { package = \"asyncio\" }",
        "[dev_dependencies]\naio = { package = \"asyncio\" }",
        "[target.'cfg(feature = \"x\")'.dependencies]\naio = { package = \"asyncio\" }",
        "[target.\"cfg(feature = \\\"x\\\")\".dev-dependencies.aio]\npackage = \"asyncio\"",
        "[target.x86_64-unknown-linux-gnu.dependencies]\naio = { package = \"asyncio\" }",
        "\u{feff}[dependencies]\r\naio = { package = \"asyncio\" }\r\n",
    ];
    for manifest in manifests {
        assert_eq!(name(manifest).as_deref(), Some("aio"), "{manifest}");
    }
}

#[test]
fn a_rename_is_found_among_everything_else() {
    let manifest = r#"
        [package]
        name = "app" # [dependencies]
        description = """
        [dependencies]
        no = { package = "asyncio" } \"""
        """
        authors = ["a, b", 'c]', """d]"""]
        license-file = 'C:\'
        rust-version = 1979-05-27 07:32:00

        [[bin]]
        name = "a"
        required-features = [
            "x", # ]
            [{ y = "}" }],
        ]

        [dependencies]
        # no = { package = "asyncio" }
        a = "1"
        b = { version = "2", features = ["package", "asyncio"], default-features = false }
        my-aio = { version = ">=1, <3", package = "asyncio" }
        z = { package = "other" }

        [profile.dev]
        debug = 0
    "#;
    assert_eq!(name(manifest).as_deref(), Some("my_aio"));
}

#[test]
fn without_a_rename_the_name_is_the_packages() {
    let manifests = [
        "",
        "[package]\nname = \"asyncio\"",
        "[dependencies]\nasyncio = \"1\"",
        "[dependencies]\nasyncio = { path = \"..\" }\naio = { package = \"asyncio\" }",
        "[dependencies]\naio = { package = \"other\" }",
        "[dependencies]\naio = { version = \"asyncio\" }",
        "[patch.registry.dependencies]\naio = { package = \"asyncio\" }",
        "[[dependencies]]\naio = { package = \"asyncio\" }",
        "[dependencies]\naio = { workspace = true }",
    ];
    for manifest in manifests {
        assert_eq!(name(manifest), None, "{manifest}");
    }
}

#[test]
fn another_package_may_have_our_name() {
    let manifest =
        "[dependencies]\nasyncio = { package = \"other\" }\naio = { package = \"asyncio\" }";
    assert_eq!(name(manifest).as_deref(), Some("aio"));
}

#[test]
fn a_rename_is_inherited() {
    let workspace = "[workspace.dependencies]\naio = { package = \"asyncio\" }\nb = \"1\"";
    for manifest in [
        "[dependencies]\naio.workspace = true\nb.workspace = true",
        "[dev-dependencies]\naio = { workspace = true, optional = true }",
        "[target.'cfg(unix)'.dependencies.aio]\nworkspace = true",
    ] {
        let found = name_with_workspace(manifest, workspace);
        assert_eq!(found.as_deref(), Some("aio"), "{manifest}");
    }
    let found = name_with_workspace("[dependencies]\nb.workspace = true", workspace);
    assert_eq!(found, None);
}

#[test]
fn the_workspace_is_found_as_cargo_finds_it() {
    let root = tempfolder("workspace");
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    };
    let inherits = "[dependencies]\naio.workspace = true";
    write(
        "Cargo.toml",
        "[workspace.dependencies]\naio = { package = \"asyncio\" }",
    );
    write("members/Cargo.toml", "[package]\nname = \"no workspace\"");
    write("members/one/Cargo.toml", inherits);
    write("elsewhere/Cargo.toml", "[workspace]");
    let named = "[package]\nworkspace = \"../..\"\n";
    write("elsewhere/two/Cargo.toml", &format!("{named}{inherits}"));
    write("elsewhere/three/Cargo.toml", inherits);
    assert_eq!(look_up(&root.join("members/one")).name, "aio");
    assert_eq!(look_up(&root.join("elsewhere/two")).name, "aio");
    assert_eq!(look_up(&root.join("elsewhere/three")).name, ASYNCIO);
    assert_eq!(look_up(&root.join("nowhere")).name, ASYNCIO);
    fs::remove_dir_all(root).expect("our own folder");
}

#[test]
fn a_changed_manifest_is_read_again() {
    let folder = tempfolder("changed");
    let path = folder.join("Cargo.toml");
    let write = |text: &str, age: u64| {
        fs::write(&path, text).expect("a file");
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(age);
        let file = fs::File::options().write(true).open(&path).expect("a file");
        file.set_modified(time).expect("a time");
    };
    write("[dependencies]\nasyncio = \"1\"", 1);
    let found = look_up(&folder);
    assert!(found.name == ASYNCIO && found.is_still_true(&folder));
    assert!(!found.is_still_true(&folder.join("other")));
    write("[dependencies]\naio = { package = \"asyncio\" }", 2);
    assert!(!found.is_still_true(&folder));
    assert_eq!(remembered(&folder), "aio");
    assert_eq!(remembered(&folder), "aio");
    fs::remove_dir_all(folder).expect("our own folder");
}

/// An empty folder of this process's own.
fn tempfolder(name: &str) -> PathBuf {
    let name = format!("runner-macros-{}-{name}", std::process::id());
    let folder = env::temp_dir().join(name);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Cut off anywhere, the reading ends; with which answer does not matter.
#[test]
fn a_damaged_manifest_is_no_harm() {
    let manifest = "\u{feff}a = \"\\\"\u{e4}\" # \u{e4}\n[x.'y'.\"z\"]\nb = [1, {c = '''d'''}]\n[[e]]\n\u{e4} = \"\"\"\\\u{e4}\"\"\"";
    let ends = manifest.char_indices().map(|(index, _)| index);
    for end in ends.clone() {
        for start in ends.clone().filter(|start| *start <= end) {
            let _ = toml::parse(&manifest[start..end]);
        }
    }
    for (start, opener) in [
        ("b=", "["),
        ("b=", "{a="),
        ("", "a."),
        ("[", "a."),
        ("[[", "a."),
    ] {
        let deep = start.to_owned() + &opener.repeat(100_000);
        assert_eq!(toml::parse(&deep), None, "{start}{opener}");
    }
    let deep = format!("b={}1{}", "[".repeat(100), "]".repeat(100));
    assert_eq!(toml::parse(&deep), None);
}
