//! The programs of this package as their users meet them: processes of their own, which are interrupted.
#![cfg(unix)]

#[path = "../../tests/peers/mod.rs"]
mod peers;
#[path = "../../../../tests/support/mod.rs"]
mod support;

use std::ffi::OsStr;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use peers::PATIENCE;
use support::child::{Child, SIGINT, Setup};

fn fetch(urls: &[String]) -> Child {
    start(env!("CARGO_BIN_EXE_fetch"), urls)
}

fn start(program: &str, arguments: &[impl AsRef<OsStr>]) -> Child {
    let mut command = Command::new(program);
    command.args(arguments);
    Setup::new(command)
        .on_terminal()
        .deadline(PATIENCE * 2)
        .start()
}

fn listen() -> (TcpListener, String) {
    let listener = peers::listen();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    (listener, url)
}

fn accept(listener: &TcpListener) -> TcpStream {
    peers::accept(listener).0
}

#[test]
fn the_fetcher_says_what_came_and_what_did_not() {
    let ((good, good_url), (bad, bad_url)) = (listen(), listen());
    let mut child = fetch(&[good_url, bad_url]);
    let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    accept(&good).write_all(ok).unwrap();
    let missing = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
    accept(&bad).write_all(missing).unwrap();
    child.wait_for_line(": 5 bytes");
    child.wait_for_line("404 Not Found");
    assert_eq!(child.finish().status.code(), Some(1));
}

#[test]
fn ctrl_c_gives_up_a_request_that_is_under_way_and_the_program_dies_of_it() {
    let (silent, url) = listen();
    let mut child = fetch(std::slice::from_ref(&url));
    let mut connection = accept(&silent);
    child.press_ctrl_c();
    child.wait_for_line(&format!("done with {url}"));
    // The other side sees the end of the connection.
    assert_eq!(connection.read(&mut [0]).unwrap(), 0);
    let finished = child.finish();
    assert_eq!(finished.status.signal(), Some(SIGINT));
    finished.never_said("panicked");
}

fn crawl(arguments: &[&str], url: &str) -> Child {
    let arguments = [arguments, &[url]].concat();
    start(env!("CARGO_BIN_EXE_crawl"), &arguments)
}

/// Takes a request; returns the path that it asks for as well.
fn accept_asked(site: &TcpListener) -> (TcpStream, String) {
    let (stream, head) = peers::accept(site);
    let path = head.split(' ').nth(1).unwrap().to_owned();
    (stream, path)
}

/// Sends a page of HTML with these links.
fn answer(mut stream: TcpStream, links: &[&str]) {
    let links = links.iter().map(|link| format!("<a href=\"{link}\">"));
    let page: String = links.collect();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n";
    stream
        .write_all(format!("{head}{page}").as_bytes())
        .unwrap();
}

fn refuse(mut stream: TcpStream) {
    let missing = b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(missing).unwrap();
}

#[test]
fn the_crawler_visits_each_page_of_the_site_once_and_reports_what_is_broken() {
    let (site, url) = listen();
    let mut child = crawl(&["--depth", "2", "--at-once", "1"], &url);
    for (expected, links) in [
        (
            "/",
            &["a.html", "/b#part", "http://192.0.2.1/", "mailto:me"][..],
        ),
        ("/a.html", &["/", "b?x=1&amp;y=2", "gone"]),
        ("/b", &["/a.html", "/b"]),
        // Two links away from the start: its own links are not followed.
        ("/b?x=1&y=2", &["/too-deep"]),
    ] {
        let (stream, path) = accept_asked(&site);
        assert_eq!(path, expected);
        answer(stream, links);
    }
    let (stream, path) = accept_asked(&site);
    assert_eq!(path, "/gone");
    refuse(stream);
    let line = child.wait_for_line("broken: ");
    assert_eq!(
        line.trim_end(),
        format!("broken: {url}gone: 404 Not Found, found on {url}a.html")
    );
    child.wait_for_line("5 pages visited, 1 broken, 0 not visited");
    let finished = child.finish();
    assert_eq!(finished.status.code(), Some(1));
    // The bar on the terminal.
    finished.said(" of 5 pages");
}

#[test]
fn the_crawler_fetches_as_many_pages_at_once_as_it_may_and_no_more_than_it_may_in_all() {
    let (site, url) = listen();
    let mut child = crawl(&["--pages", "4", "--at-once", "2"], &url);
    answer(accept(&site), &["1", "2", "3", "4", "5"]);
    let (first, second) = (accept(&site), accept(&site));
    site.set_nonblocking(true).unwrap();
    let third = site.accept().unwrap_err();
    assert_eq!(third.kind(), io::ErrorKind::WouldBlock);
    answer(first, &[]);
    let third = accept(&site);
    answer(second, &[]);
    answer(third, &[]);
    child.wait_for_line("4 pages visited, 0 broken, 0 not visited");
    assert_eq!(child.finish().status.code(), Some(0));
}

#[test]
fn a_crawler_that_is_interrupted_says_what_it_has_found_so_far() {
    let (site, url) = listen();
    let mut child = crawl(&["--at-once", "1"], &url);
    answer(accept(&site), &["gone", "silent", "never"]);
    refuse(accept(&site));
    let mut silent = accept(&site);
    child.press_ctrl_c();
    child.wait_for_line("gone: 404 Not Found");
    child.wait_for_line("2 pages visited, 1 broken, 2 not visited");
    // The other side sees the end of the connection.
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    let finished = child.finish();
    assert_eq!(finished.status.signal(), Some(SIGINT));
    finished.never_said("panicked");
}

#[test]
fn a_crawler_that_cannot_reach_its_start_says_why() {
    let (site, url) = listen();
    drop(site);
    let mut child = crawl(&[], &url);
    child.wait_for_line("Connection refused");
    child.wait_for_line("1 pages visited, 1 broken, 0 not visited");
    assert_eq!(child.finish().status.code(), Some(1));
}
