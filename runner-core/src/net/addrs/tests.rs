//! How addresses are read: what is literal, what is a name, and what is neither.

use std::sync::mpsc;

use super::*;

fn known(address: &str) -> Host {
    Host::Known {
        first: Some(address.parse().unwrap()),
        rest: Vec::new(),
    }
}

fn named(name: &str, port: u16) -> Host {
    let name = name.to_owned();
    Host::Named { name, port }
}

#[test]
fn a_literal_address_needs_no_look_up() {
    assert_eq!("127.0.0.1:80".to_host().unwrap(), known("127.0.0.1:80"));
    assert_eq!("[::1]:80".to_host().unwrap(), known("[::1]:80"));
    assert_eq!(("::1", 80).to_host().unwrap(), known("[::1]:80"));
    assert_eq!(
        (String::from("10.0.0.1"), 1).to_host().unwrap(),
        known("10.0.0.1:1")
    );
    assert_eq!(
        (Ipv4Addr::LOCALHOST, 80).to_host().unwrap(),
        known("127.0.0.1:80")
    );
}

#[test]
fn a_name_is_left_to_the_resolver() {
    assert_eq!(
        "example.org:80".to_host().unwrap(),
        named("example.org", 80)
    );
    assert_eq!(
        ("example.org", 80).to_host().unwrap(),
        named("example.org", 80)
    );
}

#[test]
fn what_has_no_port_is_refused() {
    for text in [
        "",
        "localhost",
        "127.0.0.1",
        "localhost:",
        "localhost:http",
        "localhost:65536",
    ] {
        let error = text.to_host().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{text:?}");
        assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
    }
}

#[test]
fn an_empty_list_has_no_address() {
    let error = crate::run(first_good(&[][..], async |_| Ok(())))
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

/// As a resolver whose server is silent.
#[test]
fn a_look_up_that_takes_long_does_not_hold_the_shutdown_back() {
    let executor = crate::ThreadPoolExecutor::new();
    let (silence, silent) = mpsc::channel::<()>();
    let (begun, has_begun) = mpsc::channel();
    let job = executor.submit_with(move |stop| {
        unless_stopped(&stop, move || {
            begun.send(()).unwrap();
            silent.recv()
        })
    });
    has_begun.recv_timeout(Duration::from_secs(10)).unwrap();
    let report = executor.shutdown(true, Some(Duration::from_secs(10)));
    assert!(report.is_complete(), "{report:?}");
    // It was still silent by then.
    drop(silence);
    let given_up = crate::run(job).unwrap().unwrap();
    assert!(given_up.is_none());
}

#[test]
fn a_look_up_in_time_gives_its_result() {
    let executor = crate::ThreadPoolExecutor::new();
    let stop = executor.stop_token();
    assert_eq!(unless_stopped(&stop, || 7), Some(7));
}
