use reexporting::prelude::*;

#[rt::main(debug)]
async fn main() {
    assert_eq!(Holder(1).get(), 1);
}

struct Holder<T>(T);

impl<T: Clone> Holder<T> {
    #[rt::main]
    async fn get(&self) -> T {
        self.0.clone()
    }
}

#[rt::test(seeds = 3)]
async fn case() {}
