//! How addresses are read: what is literal, what is a name, and what is neither.

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
