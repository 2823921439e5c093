use reexporting::prelude::*;

// Might name the crate.
setup!();

#[rt::main(debug)]
async fn main() {}

#[rt::test(seeds = 3)]
async fn case() -> Result<(), String> {
    Ok(())
}

#[macro_export]
macro_rules! setup {
    () => {};
}
