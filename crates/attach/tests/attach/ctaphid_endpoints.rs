//! Endpoints of keys that come and go.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use keyrig_attach::ctaphid_endpoint::{EndpointAddress, EndpointError};
use keyrig_attach::ctaphid_endpoints::{Endpoints, Event, socket};
use keyrig_authenticator::Profile;
use keyrig_rack::{NewKey, Rack};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::ctaphid_endpoint::Program;
use crate::support::{list, name, rack};

fn new_key(key: &str) -> NewKey {
    let profile = Profile::built_in("keyrig").unwrap();
    NewKey { name: name(key), profile, snapshot: None, pin: None, uv: None, plugged: true }
}

fn is_socket(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket())
}

type Told = mpsc::UnboundedReceiver<Event>;

/// An endpoint of the key "a" at a path of its own, and of all keys in these directories.
async fn served(rack: &Rack, directory: &TempDir, directories: Vec<PathBuf>) -> (JoinHandle<()>, PathBuf, Told) {
    let following = rack.follow();
    let path = directory.path().join("single");
    let key = following.keys().iter().find(|key| key.name == name("a")).unwrap().clone();
    let single = vec![(key, EndpointAddress::Unix(path.clone()))];
    let expected = 1 + directories.len() * following.keys().len();
    let endpoints = Endpoints::bind(following, single, directories).await.unwrap();
    assert_eq!(endpoints.all().count(), expected);
    let (tell, told) = mpsc::unbounded_channel();
    let serving = tokio::spawn(async move { match endpoints.serve(move |event| drop(tell.send(event))).await {} });
    (serving, path, told)
}

#[tokio::test]
async fn a_key_has_its_endpoint_when_it_was_created_and_has_none_when_it_was_removed() {
    let rack = rack("auto", &["a"]).await;
    let directory = TempDir::new().unwrap();
    let (serving, _, mut told) = served(&rack, &directory, vec![directory.path().to_owned()]).await;
    for _ in 0..2 {
        let path = socket(directory.path(), &name("b"));
        assert!(!path.exists());
        rack.create(new_key("b")).await.unwrap();
        assert!(is_socket(&path), "without waiting for it");
        let Some(Event::Bound { key, address }) = told.recv().await else { panic!() };
        assert_eq!((key, address), (name("b"), EndpointAddress::Unix(path.clone())));
        Program::at(&path).pings().await;
        rack.remove(&name("b")).await.unwrap();
        assert!(!path.exists());
    }
    assert!(is_socket(&socket(directory.path(), &name("a"))));
    serving.abort();
    assert!(serving.await.unwrap_err().is_cancelled());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left");
}

#[tokio::test]
async fn an_endpoint_that_has_a_key_s_name_is_for_the_next_of_that_name() {
    let rack = rack("auto", &["a", "b"]).await;
    let directory = TempDir::new().unwrap();
    let (_serving, path, _told) = served(&rack, &directory, Vec::new()).await;
    let mut before = Program::at(&path);
    before.pings().await;
    rack.remove(&name("a")).await.unwrap();
    before.ended().await;
    assert!(is_socket(&path));
    Program::at(&path).ended().await;
    rack.create(new_key("c")).await.unwrap();
    Program::at(&path).ended().await;
    rack.create(new_key("a")).await.unwrap();
    Program::at(&path).pings().await;
}

#[tokio::test]
async fn what_is_in_the_place_of_an_endpoint_stays_and_the_key_is_there_without() {
    let rack = rack("auto", &["a"]).await;
    let directory = TempDir::new().unwrap();
    let (_serving, _, mut told) = served(&rack, &directory, vec![directory.path().to_owned()]).await;
    let path = socket(directory.path(), &name("b"));
    std::fs::write(&path, "mine").unwrap();
    rack.create(new_key("b")).await.unwrap();
    let Some(Event::Failed { key, error: EndpointError::NotASocket { path: found } }) = told.recv().await else {
        panic!()
    };
    assert_eq!((key, &found), (name("b"), &path));
    rack.remove(&name("b")).await.unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    // A directory that has gone is made again.
    std::fs::remove_dir_all(directory.path()).unwrap();
    rack.create(new_key("c")).await.unwrap();
    assert!(is_socket(&socket(directory.path(), &name("c"))));
}

#[tokio::test]
async fn nobody_waits_for_who_does_not_follow_any_more() {
    let rack = rack("auto", &["a"]).await;
    drop(rack.follow());
    rack.create(new_key("b")).await.unwrap();
    let mut following = rack.follow();
    let creating = tokio::spawn({
        let rack = rack.clone();
        async move { rack.create(new_key("c")).await }
    });
    let came = following.next().await;
    assert!(matches!(came, Some(keyrig_rack::Change::Came(key)) if key.name == name("c")));
    // Until the follower asks for what comes next, who creates waits.
    for _ in 0..10 {
        assert_eq!(list(&rack).await.len(), 3);
        assert!(!creating.is_finished());
    }
    drop(following);
    creating.await.unwrap().unwrap();
}
