//! Bodies that the endpoints do not take.

use super::*;

#[tokio::test]
async fn a_body_that_is_not_one_json_object_is_refused_for_what_it_is() {
    let shop = Shop::open().await;
    let good = br#"{"username":"alice","password":"wonderland"}"#;
    let complete = RequestBody::Complete;
    type Headers<'h> = &'h [(&'h str, &'h [u8])];
    let json: Headers<'_> = &[JSON];
    let cases: Vec<(&str, Headers<'_>, RequestBody<'_>, u16, &str)> = vec![
        (
            "too large",
            json,
            RequestBody::TooLarge,
            413,
            "body_too_large",
        ),
        ("stalled", json, RequestBody::Stalled, 408, "body_stalled"),
        ("broken", json, RequestBody::Broken, 400, "body_unparseable"),
        (
            "no type",
            &[],
            complete(good),
            415,
            "unsupported_media_type",
        ),
        (
            "a form",
            &[("content-type", b"application/x-www-form-urlencoded")],
            complete(good),
            415,
            "unsupported_media_type",
        ),
        (
            "text",
            &[("content-type", b"text/plain")],
            complete(good),
            415,
            "unsupported_media_type",
        ),
        (
            "JSON of a kind",
            &[("content-type", b"application/problem+json")],
            complete(good),
            415,
            "unsupported_media_type",
        ),
        (
            "nearly JSON",
            &[("content-type", b"application/jsonp")],
            complete(good),
            415,
            "unsupported_media_type",
        ),
        (
            "empty type",
            &[("content-type", b"")],
            complete(good),
            415,
            "unsupported_media_type",
        ),
        (
            "two types",
            &[JSON, JSON],
            complete(good),
            415,
            "unsupported_media_type",
        ),
        (
            "binary type",
            &[("content-type", b"\xff")],
            complete(good),
            415,
            "unsupported_media_type",
        ),
        ("empty", json, complete(b""), 400, "body_unparseable"),
        (
            "white space",
            json,
            complete(b" \n"),
            400,
            "body_unparseable",
        ),
        ("null", json, complete(b"null"), 400, "body_unparseable"),
        ("an array", json, complete(b"[]"), 400, "body_unparseable"),
        (
            "a string",
            json,
            complete(b"\"x\""),
            400,
            "body_unparseable",
        ),
        (
            "two objects",
            json,
            complete(b"{}{}"),
            400,
            "body_unparseable",
        ),
        (
            "cut off",
            json,
            complete(&good[..20]),
            400,
            "body_unparseable",
        ),
        (
            "a BOM",
            json,
            complete(b"\xef\xbb\xbf{}"),
            400,
            "body_unparseable",
        ),
        (
            "invalid UTF-8",
            json,
            complete(b"{\"username\":\"\xff\",\"password\":\"x\"}"),
            400,
            "body_unparseable",
        ),
        (
            "a form in JSON's clothes",
            json,
            complete(b"username=alice"),
            400,
            "body_unparseable",
        ),
        (
            "a member twice",
            json,
            complete(br#"{"username":"alice","password":"x","password":"wonderland"}"#),
            400,
            "body_unparseable",
        ),
        (
            "a member twice, escaped",
            json,
            complete(br#"{"username":"alice","password":"x","p\u0061ssword":"wonderland"}"#),
            400,
            "body_unparseable",
        ),
        (
            "a nested member twice",
            json,
            complete(br#"{"username":"alice","password":"wonderland","x":[{"a":1,"a":1}]}"#),
            400,
            "body_unparseable",
        ),
        (
            "no user",
            json,
            complete(br#"{"password":"wonderland"}"#),
            400,
            "missing_parameter",
        ),
        (
            "no password",
            json,
            complete(br#"{"username":"alice"}"#),
            400,
            "missing_parameter",
        ),
        (
            "a number for a user",
            json,
            complete(br#"{"username":1,"password":"x"}"#),
            400,
            "missing_parameter",
        ),
        (
            "null for a password",
            json,
            complete(br#"{"username":"alice","password":null}"#),
            400,
            "missing_parameter",
        ),
    ];
    for (case, headers, sent, status, reason) in cases {
        let reply = shop.send("POST", "/auth/login", headers, sent).await;
        assert_eq!(
            (reply.status(), &body(&reply)["reason"]),
            (status, &json!(reason)),
            "{case}"
        );
        assert_eq!(body(&reply)["error"], "invalid_request", "{case}");
        assert_eq!(header(&reply, "www-authenticate"), None, "{case}");
        assert!(
            !String::from_utf8_lossy(reply.body()).contains(PASSWORD),
            "{case}"
        );
        if reason != "missing_parameter" {
            for path in ["/auth/refresh", "/auth/logout"] {
                if path == "/auth/logout" && case == "empty" {
                    continue;
                }
                let other = shop.send("POST", path, headers, sent).await;
                // Every endpoint judges a body that it cannot read the same.
                let got = (other.status(), body(&other)["reason"].clone());
                assert_eq!(got, (status, json!(reason)), "{case} to {path}");
            }
        }
    }
    let deep = format!(r#"{{"username":{}"#, "[".repeat(8000));
    assert_eq!(shop.post("/auth/login", &deep).await.status(), 400);
    for media_type in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        " application/json ;x",
    ] {
        let typed = [("content-type", media_type.as_bytes())];
        let reply = shop
            .send("POST", "/auth/login", &typed, RequestBody::Complete(good))
            .await;
        assert_eq!(reply.status(), 200, "{media_type}");
    }
}
