//! Articles, comments, favourites and tags.

use serde_json::{Value, json};

use crate::support::{Answer, Api, members};

/// Whether this is a time in ISO 8601, in UTC and with milliseconds. The front ends parse that
/// format.
fn is_time(time: &Value) -> bool {
    let shape: String = time
        .as_str()
        .unwrap()
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    shape == "0000-00-00T00:00:00.000Z"
}

/// The titles in a list, and the total number of articles.
fn titles(answer: &Answer) -> (Vec<&str>, i64) {
    let articles = answer.ok("articles").as_array().unwrap();
    let titles = articles
        .iter()
        .map(|article| article["title"].as_str().unwrap());
    (
        titles.collect(),
        answer.body["articlesCount"].as_i64().unwrap(),
    )
}

#[tokio::test]
async fn an_article_is_written_read_changed_and_deleted() {
    let api = Api::start().await;
    let jake = api.register("jake").await;
    let article = jake
        .write("How to train your Dragon!", &["training", "dragons"])
        .await;
    assert_eq!(
        members(&article),
        [
            "author",
            "body",
            "createdAt",
            "description",
            "favorited",
            "favoritesCount",
            "slug",
            "tagList",
            "title",
            "updatedAt"
        ]
    );
    assert_eq!(article["slug"], "how-to-train-your-dragon");
    assert_eq!(article["tagList"], json!(["training", "dragons"]));
    assert_eq!(
        (&article["favorited"], &article["favoritesCount"]),
        (&json!(false), &json!(0))
    );
    assert_eq!(article["author"]["username"], "jake");
    assert!(
        is_time(&article["createdAt"]) && is_time(&article["updatedAt"]),
        "{article}"
    );

    let path = "/api/articles/how-to-train-your-dragon";
    let anonymous = api.get(path).await;
    assert_eq!(anonymous.ok("article"), &article);

    let change = async |change: Value| {
        let change = json!({ "article": change });
        jake.ask(&format!("PUT {path}"), change).await
    };
    change(json!({ "title": "" }))
        .await
        .is_error(422, "title", "can't be blank");
    change(json!({ "tagList": null }))
        .await
        .is_error(422, "tagList", "can't be blank");
    let changed = change(json!({ "body": "more of it" })).await;
    assert_eq!(changed.ok("article")["body"], "more of it");
    assert_eq!(changed.ok("article")["tagList"], article["tagList"]);
    let untagged = change(json!({ "tagList": [] })).await;
    assert_eq!(untagged.ok("article")["tagList"], json!([]));
    let renamed = change(json!({ "title": "Did you train it?" })).await;
    assert_eq!(renamed.ok("article")["slug"], "did-you-train-it");
    assert_eq!(renamed.ok("article")["createdAt"], article["createdAt"]);
    api.get(path).await.is_error(404, "article", "not found");

    let deleted = jake
        .ask("DELETE /api/articles/did-you-train-it", Value::Null)
        .await;
    assert_eq!((deleted.status, deleted.body), (204, json!("")));
    let gone = api.get("/api/articles/did-you-train-it").await;
    gone.is_error(404, "article", "not found");
}

#[tokio::test]
async fn a_faulty_article_is_answered_with_the_member_and_the_fault() {
    let api = Api::start().await;
    let jake = api.register("jake").await;
    jake.write("A title", &[]).await;
    for member in ["title", "description", "body"] {
        let mut article = json!({ "title": "Another", "description": "d", "body": "b" });
        article[member] = json!("");
        let refused = jake
            .ask("POST /api/articles", json!({ "article": article }))
            .await;
        refused.is_error(422, member, "can't be blank");
    }
    for (title, status, message) in [
        ("a TITLE", 409, "has already been taken"),
        ("Feed", 409, "has already been taken"),
        ("?!", 422, "must have a letter or a digit"),
    ] {
        let article = json!({ "article": { "title": title, "description": "d", "body": "b" } });
        let refused = jake.ask("POST /api/articles", article).await;
        refused.is_error(status, "title", message);
    }
}

#[tokio::test]
async fn only_the_author_changes_an_article_or_a_comment() {
    let api = Api::start().await;
    let (jake, anna) = (api.register("jake").await, api.register("anna").await);
    jake.write("A title", &[]).await;
    let comment = json!({ "comment": { "body": "Thank you!" } });
    let comment = jake
        .ask("POST /api/articles/a-title/comments", comment)
        .await;
    let id = comment.body["comment"]["id"].as_i64().unwrap();

    let change = json!({ "article": { "body": "hers" } });
    let refused = anna.ask("PUT /api/articles/a-title", change.clone()).await;
    refused.is_error(403, "article", "forbidden");
    let refused = anna.ask("DELETE /api/articles/a-title", Value::Null).await;
    refused.is_error(403, "article", "forbidden");
    let refused = anna
        .ask(
            &format!("DELETE /api/articles/a-title/comments/{id}"),
            Value::Null,
        )
        .await;
    refused.is_error(403, "comment", "forbidden");

    for (line, body) in [
        ("PUT /api/articles/none", change),
        ("DELETE /api/articles/none", Value::Null),
        ("POST /api/articles/none/favorite", Value::Null),
        ("DELETE /api/articles/none/favorite", Value::Null),
        ("GET /api/articles/none/comments", Value::Null),
        (
            "POST /api/articles/none/comments",
            json!({ "comment": { "body": "hm" } }),
        ),
        ("DELETE /api/articles/none/comments/1", Value::Null),
    ] {
        anna.ask(line, body)
            .await
            .is_error(404, "article", "not found");
    }
}

#[tokio::test]
async fn lists_are_filtered_and_paged_and_have_no_bodies() {
    let api = Api::start().await;
    let (jake, anna) = (api.register("jake").await, api.register("anna").await);
    jake.write("One", &["odd"]).await;
    jake.write("Two", &["even"]).await;
    anna.write("Three", &["odd"]).await;
    jake.ask("POST /api/articles/three/favorite", Value::Null)
        .await
        .ok("article");

    let all = api.get("/api/articles").await;
    assert_eq!(titles(&all), (vec!["Three", "Two", "One"], 3));
    assert_eq!(
        members(&all.body["articles"][0]),
        [
            "author",
            "createdAt",
            "description",
            "favorited",
            "favoritesCount",
            "slug",
            "tagList",
            "title",
            "updatedAt"
        ]
    );
    for (query, expected, count) in [
        ("tag=odd", &["Three", "One"][..], 2),
        ("author=jake", &["Two", "One"], 2),
        ("favorited=jake", &["Three"], 1),
        ("favorited=anna", &[], 0),
        ("tag=odd&author=jake", &["One"], 1),
        ("limit=1", &["Three"], 3),
        ("limit=1&offset=1", &["Two"], 3),
        ("offset=3", &[], 3),
    ] {
        let found = api.get(&format!("/api/articles?{query}")).await;
        assert_eq!(titles(&found), (expected.to_vec(), count), "{query}");
    }
    for query in ["limit=0", "limit=many", "offset=-1"] {
        let refused = api.get(&format!("/api/articles?{query}")).await;
        assert_eq!(refused.status, 422, "{query}");
    }

    let feed = jake.get("/api/articles/feed").await;
    assert_eq!(titles(&feed), (vec![], 0));
    jake.ask("POST /api/profiles/anna/follow", Value::Null)
        .await
        .ok("profile");
    let feed = jake.get("/api/articles/feed").await;
    assert_eq!(titles(&feed), (vec!["Three"], 1));
    assert_eq!(feed.body["articles"][0]["author"]["following"], true);
    let skipped = jake.get("/api/articles/feed?offset=1").await;
    assert_eq!(titles(&skipped), (vec![], 1));
}

#[tokio::test]
async fn a_favorite_counts_once_and_shows_to_its_reader() {
    let api = Api::start().await;
    let (jake, anna) = (api.register("jake").await, api.register("anna").await);
    jake.write("A title", &[]).await;
    for _ in 0..2 {
        let liked = anna
            .ask("POST /api/articles/a-title/favorite", Value::Null)
            .await;
        let liked = liked.ok("article");
        assert_eq!(
            (&liked["favorited"], &liked["favoritesCount"]),
            (&json!(true), &json!(1))
        );
    }
    let seen = jake.get("/api/articles/a-title").await;
    let seen = seen.ok("article");
    assert_eq!(
        (&seen["favorited"], &seen["favoritesCount"]),
        (&json!(false), &json!(1))
    );
    let unliked = anna
        .ask("DELETE /api/articles/a-title/favorite", Value::Null)
        .await;
    assert_eq!(unliked.ok("article")["favoritesCount"], 0);
}

#[tokio::test]
async fn comments_are_added_listed_and_deleted() {
    let api = Api::start().await;
    let jake = api.register("jake").await;
    jake.write("A title", &[]).await;
    let path = "/api/articles/a-title/comments";
    let blank = jake
        .ask(
            &format!("POST {path}"),
            json!({ "comment": { "body": "" } }),
        )
        .await;
    blank.is_error(422, "body", "can't be blank");
    let added = jake
        .ask(
            &format!("POST {path}"),
            json!({ "comment": { "body": "Thanks" } }),
        )
        .await;
    assert_eq!(added.status, 201);
    let comment = &added.body["comment"];
    assert_eq!(
        members(comment),
        ["author", "body", "createdAt", "id", "updatedAt"]
    );
    assert!(
        comment["id"].is_i64() && is_time(&comment["createdAt"]) && is_time(&comment["updatedAt"])
    );
    let listed = api.get(path).await;
    assert_eq!(listed.ok("comments"), &json!([comment]));

    let id = comment["id"].as_i64().unwrap();
    let deleted = jake.ask(&format!("DELETE {path}/{id}"), Value::Null).await;
    assert_eq!(deleted.status, 204);
    for gone in [id.to_string(), "x".to_owned()] {
        let gone = jake
            .ask(&format!("DELETE {path}/{gone}"), Value::Null)
            .await;
        gone.is_error(404, "comment", "not found");
    }
    assert_eq!(api.get(path).await.ok("comments"), &json!([]));
}

#[tokio::test]
async fn tags_are_listed_once() {
    let api = Api::start().await;
    let jake = api.register("jake").await;
    jake.write("One", &["odd", "number"]).await;
    jake.write("Two", &["even", "number"]).await;
    let tags = api.get("/api/tags").await;
    assert_eq!(tags.ok("tags"), &json!(["even", "number", "odd"]));
}
