//! The crate's other name comes from the workspace.

#[loops::main]
async fn main() {}

#[loops::test(virtual_time)]
async fn it_is_found() {
    loops::sleep(std::time::Duration::from_secs(90)).await;
}
