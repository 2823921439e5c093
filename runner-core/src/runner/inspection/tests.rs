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

/// What a program reads with the feature `serde` is what it reads from the socket, which adds the loop's number.
#[cfg(feature = "serde")]
#[test]
fn the_socket_says_of_tasks_and_metrics_what_serde_makes_of_them() {
    use serde_json::{Value, json, to_value};

    use super::answer::{task_line, write_metrics};
    use crate::json::object;

    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    crate::run(async move {
        let worker = crate::task()
            .name("a \"worker\"\n")
            .spawn(std::future::pending::<()>());
        let cancelled = crate::spawn(crate::sleep(std::time::Duration::from_secs(60)));
        cancelled.cancel();
        drop(crate::spawn(crate::gather([worker])));
        crate::yield_now().await;
        crate::running_loop().set_metrics(true);
        drop(crate::spawn(std::future::pending::<()>()));
        let dump = crate::debug::dump_tasks();
        assert_eq!(dump.tasks().len(), 4, "{dump}");
        for task in dump.tasks() {
            let mut said = read(&task_line(7, task, None));
            assert_eq!(said.as_object_mut().unwrap().remove("loop"), Some(json!(7)));
            let mut made = to_value(task).unwrap();
            // The socket says it in words only, in `activity`.
            assert!(made.as_object_mut().unwrap().remove("waits_for").is_some());
            assert_eq!(said, made);
        }
        let metrics = crate::running_loop().metrics();
        let mut said = String::new();
        object(&mut said, |it| {
            write_metrics(it.number("tasks", metrics.tasks), &metrics)
        });
        let (mut said, mut made) = (read(&said), to_value(&metrics).unwrap());
        // A share is said with nine places, and 1 without any.
        let take_busy = |it: &mut Value| it["busy"].take().as_f64().unwrap();
        let difference = take_busy(&mut said) - take_busy(&mut made);
        assert!(difference.abs() < 1e-9, "{difference}");
        assert_eq!(said, made);
    })
    .unwrap();
}
