//! The pages show the code that is tested.

#[test]
fn the_first_login_shows_the_program_that_is_tested() {
    let (page, program) = (
        include_str!("src/first_login.md"),
        include_str!("programs/first_login.rs"),
    );
    // Without the documentation at its head.
    let (_, program) = program.split_once("\n\n").unwrap();
    let at = program.find("\n#[cfg(test)]").unwrap();
    let (server, tests) = program.split_at(at);
    for block in [
        format!("```rust,no_run\n{server}```\n"),
        format!("```rust\n{}```\n", tests.trim_start()),
    ] {
        assert!(page.contains(&block), "not on the page:\n{block}");
    }
}
