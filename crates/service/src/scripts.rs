//! The scripts that whoever drives a browser puts into its pages: one code, which notes a page's ceremonies, or carries them out, or both.

use axum::http::header;
use axum::response::IntoResponse;
use keyrig_http::openapi::Operation;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

/// A function of how it is to be: `note` takes notes, `ask` or `service` make it `navigator.credentials`.
macro_rules! script {
    () => {
        concat!(
            "(({ note, ...way }) => {\n  const tools = (",
            include_str!("script/tools.js"),
            ")();\n  if (way.ask !== undefined || way.service !== undefined) (",
            include_str!("script/page.js"),
            ")(tools, way);\n  if (note !== undefined) (",
            include_str!("script/observe.js"),
            ")(tools, note);\n})"
        )
    };
}

/// A function of one that takes a note.
const OBSERVE: &str = concat!("(note) => ", script!(), "({ note })\n");

/// The script of `/v1/page.js`: a function of how it is to be. With `service`, an object of `url` and `token`, or `ask`, a function that takes
/// a request and promises its answer, it is `navigator.credentials` in the document it is run in.
pub const PAGE_SCRIPT: &str = script!();

/// Nothing but a script is answered.
#[derive(Serialize, ToSchema)]
pub(crate) struct Script {}

fn operation(id: &str, summary: &str, described: &str) -> Operation {
    Operation::answering::<Script>(id, summary).for_anybody().with_success(json!({
        "description": described,
        "content": {"text/javascript": {"schema": {"type": "string"}}},
    }))
}

/// Describes [`observe`].
pub(crate) fn observe_operation(id: &str) -> Operation {
    operation(
        id,
        "What notes a page's ceremonies, for whoever drives its browser, and for anybody on this machine.",
        "JavaScript: a function to be run in each document before the page's scripts, with a function that takes a note.",
    )
}

pub(crate) async fn observe() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], OBSERVE)
}

/// Describes [`page`].
pub(crate) fn page_operation(id: &str) -> Operation {
    operation(
        id,
        "What is navigator.credentials in a page, for whoever drives its browser, and for anybody on this machine.",
        "JavaScript: a function to be run in each document before the page's scripts. Its argument has `ask`, a function that takes a \
         request and promises the answer, both in JSON, or `service`, with `url` and `token` of POST /v1/page-tokens; and, if the page's \
         ceremonies are to be noted, `note`.",
    )
}

pub(crate) async fn page() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], PAGE_SCRIPT)
}
