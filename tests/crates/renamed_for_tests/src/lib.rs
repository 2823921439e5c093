//! The crate has another name in a table of its own, for tests on some systems.

/// Doubles a number, and waits for nothing.
#[allow(clippy::unused_async)]
pub async fn doubled(number: u8) -> u8 {
    number * 2
}

#[cfg(test)]
mod tests {
    #[aio::test]
    async fn it_is_found() {
        assert_eq!(super::doubled(2).await, 4);
    }
}
