//! Pages of other origins.

use gatepass_browser_tests::{
    browser::Browser,
    example::{Example, ask, logged_in},
    in_each_framework,
    site::Site,
};
use gatepass_tests::conformance::Framework;
use serde_json::json;

in_each_framework!(
    a_form_a_fetch_and_an_image_of_another_origin_change_nothing,
    a_form_of_another_origin_logs_no_one_in,
);

/// The page of an attacker. `send(path)` posts a form to the service, and the browser goes to the
/// answer.
fn attack(victim: &str) -> String {
    format!(
        "<!doctype html><title>A nice page</title><script>
         function send(path, name = '', value = '') {{
             const form = document.createElement('form');
             const input = document.createElement('input');
             Object.assign(form, {{ method: 'post', action: '{victim}' + path, enctype: 'text/plain' }});
             Object.assign(input, {{ name, value }});
             form.append(input);
             document.body.append(form);
             form.submit();
         }}
         async function quietly() {{
             const asked = [];
             for (const path of ['/auth/logout', '/auth/logout-all', '/auth/refresh', '/profile']) {{
                 asked.push(fetch('{victim}' + path, {{
                     method: 'POST', mode: 'no-cors', credentials: 'include',
                 }}));
             }}
             asked.push(fetch('{victim}/auth/sessions', {{
                 method: 'DELETE', credentials: 'include',
             }}));
             for (const path of ['/auth/logout', '/auth/refresh', '/me', '/account']) {{
                 const image = new Image();
                 asked.push(new Promise((done) => {{ image.onload = image.onerror = done; }}));
                 image.src = '{victim}' + path;
             }}
             await Promise.allSettled(asked);
             return true;
         }}
         </script><body>"
    )
}

async fn a_form_a_fetch_and_an_image_of_another_origin_change_nothing(framework: Framework) {
    let example = Example::start(framework).await;
    let browser = Browser::start().await;
    example.log_in(&browser).await;
    let session = browser.text("#who-session").await;
    let before = values(&browser).await;
    let site = Site::page(attack(&example.origin)).await;
    // First another site: because of SameSite, the browser sends no cookies. Then another origin of
    // the same site: the browser sends the cookies, and the service refuses the request.
    for (host, reason) in [("localhost", "missing"), ("127.0.0.1", "cross_site")] {
        let attacker = format!("http://{host}:{}/", site.port());
        browser.open(&attacker).await;
        assert_eq!(browser.run("return quietly()").await, true);
        for path in ["/profile", "/auth/logout-all", "/auth/logout"] {
            browser.open(&attacker).await;
            browser
                .run(&format!("setTimeout(() => send('{path}'))"))
                .await;
            browser
                .until(&format!("location.href === '{}{path}'", example.origin))
                .await;
            browser.until("document.readyState === 'complete'").await;
            if path == "/profile" {
                let said = browser.text("body").await;
                assert!(said.contains(&format!("\"reason\":\"{reason}\"")), "{said}");
            }
        }
        browser.open(&example.origin).await;
        browser.until(&logged_in()).await;
        assert_eq!(browser.text("#who-session").await, session);
        assert_eq!(ask(&browser, "GET /me").await, 200);
        assert_eq!(ask(&browser, "GET /strict").await, 200);
    }
    // No refresh has happened, so the cookies are the same to the byte.
    assert_eq!(values(&browser).await, before);
}

async fn a_form_of_another_origin_logs_no_one_in(framework: Framework) {
    let example = Example::start(framework).await;
    let browser = Browser::start().await;
    example.log_in(&browser).await;
    let before = values(&browser).await;
    let site = Site::page(attack(&example.origin)).await;
    // As plain text, a form's field is `name=value`. So the two together can be JSON.
    let login = r#"{"username":"bob","password":"bob-the-builder","transport":"cookie","device":""#;
    let (login, rest) = (json!(login), json!("\"}"));
    for host in ["localhost", "127.0.0.1"] {
        browser
            .open(&format!("http://{host}:{}/", site.port()))
            .await;
        browser
            .run(&format!(
                "setTimeout(() => send('/auth/login', {login}, {rest}))"
            ))
            .await;
        browser
            .until(&format!(
                "location.href === '{}/auth/login'",
                example.origin
            ))
            .await;
        browser.until("document.readyState === 'complete'").await;
        let said = browser.text("body").await;
        // A form can't send JSON with its content type, and a script of another origin needs a
        // preflight.
        let reason = "\"reason\":\"unsupported_media_type\"";
        assert!(said.contains(reason), "{said}");
        assert_eq!(values(&browser).await, before);
    }
    browser.open(&example.origin).await;
    browser.until(&logged_in()).await;
}

/// The cookies' values, in a fixed order.
async fn values(browser: &Browser) -> Vec<String> {
    let cookies = browser.cookies().await.into_iter();
    let mut values: Vec<_> = cookies.map(|cookie| cookie.value).collect();
    values.sort_unstable();
    assert_eq!(values.len(), 2);
    values
}
