//! What `#[asyncio::main]` and `#[asyncio::test]` accept and refuse, one file per case under `tests/ui`.
//!
//! A new case is a new file. Only cases of `#[asyncio::test]` are also listed here: a case is compiled as a program, in which
//! tests do not exist.

#[path = "ui/pass/test_all_options.rs"]
mod test_all_options;
#[path = "ui/pass/test_other_attributes.rs"]
mod test_other_attributes;
#[path = "ui/pass/test_outputs.rs"]
mod test_outputs;

#[test]
fn every_accepted_signature_compiles_without_a_warning() {
    trybuild::TestCases::new().pass("tests/ui/pass/*.rs");
}

#[test]
fn every_mistake_has_one_message_on_its_own_token() {
    trybuild::TestCases::new().compile_fail("tests/ui/fail/*.rs");
}
