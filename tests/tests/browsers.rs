//! Real browsers with keys under `keyrig exec`: Chromium by WebDriver, Firefox by WebDriver BiDi. What is found in front of each is
//! compared with `tests/browsers/FOUND.md`, and kept with pictures in `target/browsers`, where `tests/browsers/table.py` makes that
//! page from it.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use keyrig_tests::exec_case::{Bench, Place, places};
use keyrig_tests::judge;
use serde_json::Value;

const PROGRAMS: [&str; 7] = [
    "/usr/bin/chromium",
    "/usr/bin/chromium-headless-shell",
    "/usr/bin/chromedriver",
    "/usr/bin/firefox-esr",
    "/usr/bin/Xvfb",
    "/usr/bin/xdotool",
    "/usr/bin/tesseract",
];

/// Where what was found is kept.
fn kept() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| judge::tree("target"), PathBuf::from);
    target.join("browsers")
}

/// With their sandboxes an ordinary user's; without them where a container's rules forbid it, and for root, who may not have one.
fn switch(browser: &str, place: Place) -> &'static str {
    let forbidden = place.rules == Some("docker") || !place.nobody && rustix::process::geteuid().is_root();
    if forbidden && browser != "firefox" { "--no-sandbox" } else { "" }
}

/// The places of one user: all views, and the rules of containers.
fn views() -> impl Iterator<Item = Place> {
    let is_root = rustix::process::geteuid().is_root();
    places().into_iter().filter(move |place| place.nobody == is_root && place.rules != Some("apparmor"))
}

/// Does what there is to do in front of a browser, and compares it with the page.
async fn run(browser: &str, column: &str, part: &str, places: impl Iterator<Item = Place>) {
    let site_packages = judge::tree(".cache/browsers");
    let installed = site_packages.join("installed");
    let needs = PROGRAMS.iter().map(Path::new).chain([installed.as_path()]);
    if let Some(missing) = needs.into_iter().find(|path| !path.exists()) {
        return judge::skip(&format!("{} is not installed: scripts/test installs it", missing.display()));
    }
    let bench = Bench::new();
    let copied = std::process::Command::new("cp")
        .args(["-r", "--no-preserve=mode"])
        .args([judge::tree("tests/browsers"), site_packages.join("packages"), site_packages.join("node_modules")])
        .arg(bench.path())
        .status();
    assert!(copied.unwrap().success());
    let keep = kept();
    fs::create_dir_all(&keep).unwrap();
    for place in places {
        let keys = ["--key", "a=keyrig", "--key", "b=yubikey-5.7", "--key", "u=u2f-only", "--key", "v=keyrig-uv"];
        let script = format!(
            "mkdir -m 777 $TMPDIR/pictures
            PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$bench/packages exec \
            /usr/bin/python3 $bench/browsers/run.py {browser} {part} $keyrig $TMPDIR/pictures {}",
            switch(browser, place)
        );
        let output = bench.run(place, &keys, &script).await;
        let pictures = bench.path().join("tmp/pictures");
        for picture in fs::read_dir(&pictures).unwrap() {
            let picture = picture.unwrap();
            fs::copy(picture.path(), keep.join(picture.file_name())).unwrap();
        }
        fs::remove_dir_all(pictures).unwrap();
        assert!(output.success, "{browser}: {place:?}: {output}");
        fs::write(keep.join(format!("{browser}-{part}.jsonl")), &output.stdout).unwrap();
        let page = fs::read_to_string(judge::tree("tests/browsers/FOUND.md")).unwrap_or_default();
        let expected = cells(&page, column);
        let lines: Vec<Value> = output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let found: BTreeMap<_, _> =
            lines.iter().filter_map(|line| Some((line["flow"].as_str()?, line["found"].as_str()?))).collect();
        assert!(!found.is_empty(), "{output}");
        let is_stale = |flow: &str, found: &str| expected.get(flow).is_none_or(|says| says != found);
        let stale: Vec<_> = found.iter().filter(|(flow, found)| is_stale(flow, found)).collect();
        assert!(
            stale.is_empty(),
            "{browser}: {place:?}: {stale:?}: tests/browsers/FOUND.md says otherwise; if this is right, tests/browsers/table.py makes \
             the page anew"
        );
    }
}

/// A column of the table: what was found, by flow.
fn cells(page: &str, column: &str) -> BTreeMap<String, String> {
    let mut rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows = rows.by_ref().map(|row| row.split(" | ").collect::<Vec<_>>()).collect::<Vec<_>>();
    let Some(at) = rows.first().and_then(|header| header.iter().position(|name| *name == column)) else {
        return BTreeMap::new();
    };
    rows.iter().skip(1).filter_map(|row| Some(((*row.first()?).to_owned(), (*row.get(at)?).to_owned()))).collect()
}

#[tokio::test]
async fn chromium_without_a_window() {
    run("chromium", "Chromium", "headless", views()).await;
}

#[tokio::test]
async fn chromiums_headless_shell() {
    run("headless-shell", "Chromium's headless shell", "headless", views().take(1)).await;
}

#[tokio::test]
async fn firefox_without_a_window() {
    run("firefox", "Firefox", "headless", views()).await;
}

/// keyrig's own site, by its pages alone: RECOVERY.md, what axe-core finds, what stays.
#[tokio::test]
async fn the_pages_in_chromium() {
    run("chromium", "Chromium", "pages", views().take(1)).await;
}

#[tokio::test]
async fn the_pages_in_firefox() {
    run("firefox", "Firefox", "pages", views().take(1)).await;
}

/// The panel of the rack that runs around the browser.
#[tokio::test]
async fn the_panel_in_chromium() {
    run("chromium", "Chromium", "panel", views().take(1)).await;
}

#[tokio::test]
async fn the_panel_in_firefox() {
    run("firefox", "Firefox", "panel", views().take(1)).await;
}

#[tokio::test]
async fn chromium_on_a_screen() {
    run("chromium", "Chromium", "screen", views().filter(|place| place.view == "paths")).await;
}

/// And in the other view, where windows take what they are typed as well.
#[tokio::test]
async fn windows_with_a_namespace() {
    for (browser, column) in [("chromium", "Chromium"), ("firefox", "Firefox")] {
        run(browser, column, "window", views().filter(|place| place.view == "namespace")).await;
    }
}

#[tokio::test]
async fn firefox_on_a_screen() {
    run("firefox", "Firefox", "screen", views().filter(|place| place.view == "paths")).await;
}
