//! A verifier accepts only the type of access tokens.

use gatepass::Refusal::{Malformed, WrongType};

use super::{Table, Victim, quoted};

pub(super) fn attacks(table: &mut Table, victim: &Victim) {
    let header = victim.header();
    let refused = [
        "",
        " ",
        "JWT",
        "jwt",
        "at",
        "jwt+at",
        "at+jwt ",
        " at+jwt",
        r"at+jwt\u0000",
        r"at+jwt\n",
        "at jwt",
        "at%2Bjwt",
        "at+jws",
        "at-jwt",
        "at_jwt",
        "at+jwt+jwt",
        "at+jwt,JWT",
        "rt+jwt",
        "id_token",
        "ID+JWT",
        "logout+jwt",
        "dpop+jwt",
        "secevent+jwt",
        "token-introspection+jwt",
        "oauth-authz-req+jwt",
        "client-authentication+jwt",
        "kb+jwt",
        "vc+sd-jwt",
        "JOSE",
        "JOSE+JSON",
        "access_token",
        "Bearer",
        "application/jwt",
        "application/",
        "application/at",
        "application//at+jwt",
        "application/application/at+jwt",
        "application/at+jwt;v=1",
        "application/at+jwt; charset=utf-8",
        "text/at+jwt",
        "/at+jwt",
        r"\u0430t+jwt",
        r"at\uff0bjwt",
    ];
    for typ in refused {
        let token = victim.with_header(&header.with("typ", quoted(typ)));
        table.refused(WrongType, format!("{typ:?}"), token);
    }
    table.refused(
        WrongType,
        "none",
        victim.with_header(&header.without("typ")),
    );
    let misnamed = header.without("typ").and("TYP", quoted("at+jwt"));
    table.refused(WrongType, "as TYP", victim.with_header(&misnamed));
    let claimed = victim.claims().and("typ", quoted("at+jwt")).to_string();
    let token = victim
        .forge
        .token(header.without("typ").to_string(), claimed);
    table.refused(WrongType, "as a claim", token);
    let content = header
        .with("typ", quoted("JWT"))
        .and("cty", quoted("at+jwt"));
    table.refused(WrongType, "as cty", victim.with_header(&content));
    for raw in ["null", "1", "true", "{}", "[]", r#"["at+jwt"]"#] {
        let token = victim.with_header(&header.with("typ", raw));
        table.refused(Malformed, raw, token);
    }
    for typ in [
        "at+jwt",
        "AT+JWT",
        "At+Jwt",
        "application/at+jwt",
        "APPLICATION/AT+JWT",
        r"at\u002bjwt",
    ] {
        let token = victim.with_header(&header.with("typ", quoted(typ)));
        table.accepted(typ, token);
    }
}
