//! Registration, login, the current user and profiles.

use serde_json::{Value, json};

use crate::support::{Api, credentials, members};

#[tokio::test]
async fn a_registration_and_a_login_answer_with_the_user_and_a_token() {
    let api = Api::start().await;
    let registered = api
        .ask("POST /api/users", json!({ "user": credentials("jake") }))
        .await;
    assert_eq!(registered.status, 201);
    let login = json!({ "user": { "email": "Jake@example.com", "password": "looking-glass" } });
    let logged_in = api.ask("POST /api/users/login", login).await;
    assert_eq!(logged_in.status, 200);
    for answer in [&registered, &logged_in] {
        let user = &answer.body["user"];
        assert_eq!(
            members(user),
            ["bio", "email", "image", "token", "username"]
        );
        assert_eq!(user["username"], "jake");
        assert_eq!(user["email"], "jake@example.com");
        assert_eq!((&user["bio"], &user["image"]), (&Value::Null, &Value::Null));
        assert!(user["token"].as_str().unwrap().starts_with("eyJ"));
        assert!(!answer.is_kept);
        let current = api.user(answer).get("/api/user").await;
        assert_eq!(current.ok("user"), user);
    }
    assert_ne!(
        registered.body["user"]["token"],
        logged_in.body["user"]["token"]
    );
}

#[tokio::test]
async fn a_faulty_registration_or_login_is_answered_with_the_member_and_the_fault() {
    let api = Api::start().await;
    api.register("jake").await;
    let with = |member: &str, value: Value| {
        let mut user = credentials("anna");
        user[member] = value;
        json!({ "user": user })
    };
    for member in ["username", "email", "password"] {
        for blank in [json!(""), json!("  "), Value::Null] {
            let refused = api.ask("POST /api/users", with(member, blank)).await;
            refused.is_error(422, member, "can't be blank");
        }
    }
    for (member, taken) in [("username", "jake"), ("email", "JAKE@example.com")] {
        let refused = api.ask("POST /api/users", with(member, json!(taken))).await;
        refused.is_error(409, member, "has already been taken");
    }
    for member in ["email", "password"] {
        let refused = api
            .ask("POST /api/users/login", with(member, json!("")))
            .await;
        refused.is_error(422, member, "can't be blank");
    }
    for (email, password) in [("jake@example.com", "guess"), ("anna@example.com", "guess")] {
        let login = json!({ "user": { "email": email, "password": password } });
        let refused = api.ask("POST /api/users/login", login).await;
        refused.is_error(401, "credentials", "invalid");
    }
    let nul = json!({ "user": { "email": "jake\0@example.com", "password": "guess" } });
    let refused = api.ask("POST /api/users/login", nul).await;
    refused.is_error(422, "email", "can't contain NUL");
    let nul = api.get("/api/profiles/jake%00").await;
    nul.is_error(422, "request", "can't contain NUL");
    let no_user = api.ask("POST /api/users", json!({ "email": "x" })).await;
    assert_eq!(no_user.status, 422, "{no_user:?}");
    let unknown = api.get("/api/nothing").await;
    unknown.is_error(404, "path", "not found");
}

#[tokio::test]
async fn a_name_belongs_to_the_first_of_two_registrations_at_once() {
    let api = Api::start().await;
    let body = json!({ "user": credentials("jake") });
    let (one, other) = tokio::join!(
        api.ask("POST /api/users", body.clone()),
        api.ask("POST /api/users", body)
    );
    let (first, second) = if one.status == 201 {
        (one, other)
    } else {
        (other, one)
    };
    assert_eq!(first.status, 201, "{first:?}");
    second.is_error(409, "username", "has already been taken");
}

#[tokio::test]
async fn a_user_changes_single_members() {
    let api = Api::start().await;
    let jake = api.register("jake").await;
    api.register("anna").await;
    let change = async |user: Value| jake.ask("PUT /api/user", json!({ "user": user })).await;

    let changed =
        change(json!({ "bio": "I work at statefarm", "image": "https://a.b/c.png" })).await;
    let user = changed.ok("user");
    assert_eq!(user["bio"], "I work at statefarm");
    assert_eq!(user["image"], "https://a.b/c.png");
    assert_eq!(
        (&user["username"], &user["token"]),
        (&json!("jake"), &json!(jake.token))
    );
    // The gate doesn't show the old account that it had in memory.
    let current = jake.get("/api/user").await;
    assert_eq!(current.ok("user"), user);

    let cleared = change(json!({ "bio": "", "image": null })).await;
    assert_eq!(cleared.ok("user")["bio"], Value::Null);
    assert_eq!(cleared.ok("user")["image"], Value::Null);

    for member in ["username", "email", "password"] {
        for blank in [json!(""), Value::Null] {
            let refused = change(json!({ member: blank })).await;
            refused.is_error(422, member, "can't be blank");
        }
    }
    let taken = change(json!({ "username": "anna" })).await;
    taken.is_error(409, "username", "has already been taken");
    let renamed = change(json!({ "username": "jacob", "email": "jacob@example.com" })).await;
    assert_eq!(renamed.ok("user")["username"], "jacob");
    assert_eq!(renamed.ok("user")["email"], "jacob@example.com");
}

#[tokio::test]
async fn a_reader_follows_a_profile() {
    let api = Api::start().await;
    let (jake, anna) = (api.register("jake").await, api.register("anna").await);

    let profile = api.get("/api/profiles/anna").await;
    let profile = profile.ok("profile");
    assert_eq!(members(profile), ["bio", "following", "image", "username"]);
    assert_eq!(profile["following"], false);

    for _ in 0..2 {
        let followed = jake
            .ask("POST /api/profiles/anna/follow", Value::Null)
            .await;
        assert_eq!(followed.ok("profile")["following"], true);
    }
    let following = async |by: &crate::support::User<'_>| {
        let profile = by.get("/api/profiles/anna").await;
        profile.ok("profile")["following"].clone()
    };
    assert_eq!(following(&jake).await, true);
    assert_eq!(following(&anna).await, false);
    let anonymous = api.get("/api/profiles/anna").await;
    assert_eq!(anonymous.ok("profile")["following"], false);

    let unfollowed = jake
        .ask("DELETE /api/profiles/anna/follow", Value::Null)
        .await;
    assert_eq!(unfollowed.ok("profile")["following"], false);
    for line in [
        "GET /api/profiles/nn",
        "POST /api/profiles/nn/follow",
        "DELETE /api/profiles/nn/follow",
    ] {
        let unknown = jake.ask(line, Value::Null).await;
        unknown.is_error(404, "profile", "not found");
    }
}
