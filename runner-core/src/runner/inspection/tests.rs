//! Which folders are trusted, and what counts as a request.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use super::answer::Request;
use super::folder::check;

#[test]
fn a_folder_that_others_can_look_into_is_refused() {
    let folder = std::env::temp_dir().join(format!("asyncio-folder-{}", std::process::id()));
    let link = folder.with_extension("link");
    fs::create_dir(&folder).unwrap();
    symlink(&folder, &link).unwrap();
    let judge = |mode: u32| {
        fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
        let judged = check(&folder, &fs::symlink_metadata(&folder).unwrap());
        judged.map_err(|error| error.to_string())
    };
    let (private, readable, open) = (judge(0o700), judge(0o750), judge(0o777));
    let linked = check(&link, &fs::symlink_metadata(&link).unwrap());
    fs::remove_file(&link).unwrap();
    fs::remove_dir(&folder).unwrap();
    assert_eq!(private, Ok(()));
    assert!(readable.unwrap_err().ends_with("is open to other users"));
    assert!(open.unwrap_err().ends_with("is open to other users"));
    assert!(linked.unwrap_err().to_string().ends_with("is not a folder"));
}

#[test]
fn a_request_is_one_known_word() {
    assert_eq!(Request::read(b"ps\r\n"), Some(Request::Ps));
    assert_eq!(Request::read(b"tree\n"), Some(Request::Tree));
    for line in [&b"\n"[..], b"PS\n", b"ps tree\n", b"\xff\n", b"\0\n"] {
        assert_eq!(Request::read(line), None, "{line:?}");
    }
}
