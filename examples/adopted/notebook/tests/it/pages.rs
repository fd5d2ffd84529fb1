//! Pages and forms.

use crate::browser::{PASSWORD, World};

#[tokio::test]
async fn a_page_that_needs_a_user_comes_back_after_the_login() {
    let world = World::open().await;
    world.registered("alice").await;
    let browser = world.browser("phone");
    assert!(browser.visit("/").await.html.contains("register"));

    let login = browser.visit("/devices?done=x&y=1").await;
    assert_eq!(
        login.path,
        "/login?return_to=/devices%3Fdone%3Dx%26y%3D1&reason=missing"
    );
    let way_back = r#"value="/devices?done=x&amp;y=1""#;
    assert!(login.html.contains(way_back), "{login:?}");
    let fields = |password| {
        [
            ("username", "alice"),
            ("password", password),
            ("return_to", "/devices?done=x&y=1"),
        ]
    };
    let refused = browser.post("/login", &fields("guess")).await;
    assert!(
        refused.html.contains("The name or the password is wrong."),
        "{refused:?}"
    );
    assert!(refused.html.contains(way_back));
    let devices = browser.post("/login", &fields(PASSWORD)).await;
    assert_eq!(
        (devices.status, devices.path.as_str()),
        (200, "/devices?done=x&y=1")
    );
    assert!(browser.visit("/").await.html.contains("your notes"));
}

#[tokio::test]
async fn a_login_leads_to_no_other_site() {
    let world = World::open().await;
    let browser = world.registered("alice").await;
    for elsewhere in [
        "//evil.example/",
        "https://evil.example/",
        "/\\evil.example/",
    ] {
        let fields = [
            ("username", "alice"),
            ("password", PASSWORD),
            ("return_to", elsewhere),
        ];
        assert_eq!(browser.post("/login", &fields).await.path, "/notes");
    }
    assert_eq!(
        browser
            .visit("/login?return_to=//evil.example/")
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn a_faulty_registration_shows_its_fault_in_the_form() {
    let world = World::open().await;
    world.registered("alice").await;
    let browser = world.browser("phone");
    for (user, password, status, message) in [
        ("", PASSWORD, 422, "A name has between 1 and 40 bytes."),
        ("bob", "short", 422, "A password has at least 8 characters."),
        ("Alice", PASSWORD, 409, "This name is taken."),
    ] {
        let form = [("username", user), ("password", password)];
        let page = browser.post("/register", &form).await;
        assert_eq!(
            (page.status, page.html.contains(message)),
            (status, true),
            "{page:?}"
        );
    }
    assert!(!browser.is_logged_in().await);
}

#[tokio::test]
async fn a_name_belongs_to_the_first_of_two_registrations_at_once() {
    let world = World::open().await;
    let (laptop, phone) = (world.browser("laptop"), world.browser("phone"));
    let form = [("username", "alice"), ("password", PASSWORD)];
    let (one, other) = tokio::join!(
        laptop.post("/register", &form),
        phone.post("/register", &form)
    );
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{one:?} {other:?}");
}

#[tokio::test]
async fn a_page_without_a_database_says_when_to_come_back() {
    let world = World::open().await;
    let browser = world.registered("alice").await;
    world.drop_notes();
    for page in [
        browser.visit("/notes").await,
        browser.post("/notes", &[("text", "lost")]).await,
    ] {
        assert_eq!(page.status, 503, "{page:?}");
        assert!(page.headers.contains_key("retry-after"), "{page:?}");
        assert!(page.html.contains("<h1>Sorry</h1>"), "{page:?}");
    }
}

#[tokio::test]
async fn a_note_is_shown_as_it_was_written() {
    let world = World::open().await;
    let browser = world.registered("<b>alice</b>").await;
    let note = "<script>alert('\"&')</script>";
    let page = browser.post("/notes", &[("text", note)]).await;
    assert_eq!(page.path, "/notes");
    let shown = "<li>&lt;script&gt;alert(&#39;&quot;&amp;&#39;)&lt;/script&gt;</li>";
    assert!(page.html.contains(shown), "{page:?}");
    assert!(page.html.contains("You are &lt;b&gt;alice&lt;/b&gt;."));
    assert!(
        page.headers["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("default-src 'none'")
    );

    let blank = browser.post("/notes", &[("text", " ")]).await;
    assert_eq!(
        (blank.status, blank.html.contains("Write something.")),
        (422, true)
    );
    // Only their author sees the notes.
    let other = world.registered("bob").await;
    assert!(!other.visit("/notes").await.html.contains("script"));
    assert_eq!(browser.visit("/nothing").await.status, 404);
}

#[tokio::test]
async fn a_form_of_another_site_does_nothing() {
    let world = World::open().await;
    let browser = world.registered("alice").await;
    let phone = world.logged_in("alice", true).await;
    let login = [("username", "alice"), ("password", PASSWORD)];
    let passwords = [("current", PASSWORD), ("new", "through-it")];
    for (path, form) in [
        ("/notes", &[("text", "buy this")][..]),
        ("/password", &passwords),
        ("/devices/end-all", &[]),
        ("/logout", &[]),
        ("/login", &login),
        (
            "/register",
            &[("username", "mallory"), ("password", PASSWORD)],
        ),
    ] {
        let page = browser.post_from_elsewhere(path, form).await;
        assert_eq!((page.status, page.path.as_str()), (403, path), "{page:?}");
        assert!(
            page.html.contains("This form came from another site"),
            "{page:?}"
        );
    }
    let notes = browser.visit("/notes").await;
    assert_eq!(
        (notes.path.as_str(), notes.html.contains("buy this")),
        ("/notes", false)
    );
    assert!(phone.is_logged_in().await);
    // A link from another site arrives logged in.
    assert!(browser.visit("/notes").await.html.contains("You are alice"));
}
