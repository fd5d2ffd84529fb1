//! Compiles the code of the guide: `cargo test --doc -p gatepass-book`. Each page is the
//! documentation of a module, so a failed test names its page.

/// Takes each page of `src` by its name.
macro_rules! pages {
    ($($page:ident $path:literal,)*) => {$(
        #[cfg(doctest)]
        #[doc = include_str!($path)]
        mod $page {}
    )*};
}

pages! {
    introduction "src/introduction.md",
    first_login "src/first_login.md",
    existing_application "src/existing_application.md",
    browsers "src/browsers.md",
    clients "src/clients.md",
    several_servers "src/several_servers.md",
    operating "src/operating.md",
    troubleshooting "src/troubleshooting.md",
    jwt_logout "src/jwt_logout.md",
    hand_made "src/hand_made.md",
    actix_identity "src/migrate/actix_identity.md",
    axum_login "src/migrate/axum_login.md",
    jsonwebtoken "src/migrate/jsonwebtoken.md",
    simplejwt "src/migrate/simplejwt.md",
    supertokens "src/migrate/supertokens.md",
    compare "../../COMPARE.md",
}
