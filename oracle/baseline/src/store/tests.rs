use super::*;
use crate::matrix;
use serde_json::json;

fn label(text: &str) -> Label {
    text.parse().unwrap()
}

/// A store in which `versions` answered two cases, the newest of them one case otherwise.
fn store(versions: &[&str]) -> Store {
    let (mut store, cases) = (Store::default(), matrix());
    for version in versions {
        store.set(&cases[0], label(version), json!({"resizes": [{"rc": 0}]}));
        store.set(&cases[1], label(version), json!({"info": {"virtual-size": 1}}));
    }
    store.set(&cases[1], label("11.1.3"), json!({"info": {"virtual-size": 2}}));
    store
}

#[test]
fn what_was_saved_is_loaded_and_saved_again_as_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let texts = || -> Vec<String> {
        files(dir.path()).unwrap().iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
    };
    store(&["5.2.0", "8.2.0", "11.1.3"]).save(dir.path()).unwrap();
    let first = texts();
    let loaded = Store::load(dir.path()).unwrap();
    assert_eq!(loaded, store(&["11.1.3", "8.2.0", "5.2.0"]));
    loaded.save(dir.path()).unwrap();
    assert_eq!(texts(), first);
}

#[test]
fn a_changed_answer_is_one_line_more() {
    let dir = tempfile::tempdir().unwrap();
    let lines = |store: &Store| -> BTreeSet<String> {
        store.save(dir.path()).unwrap();
        let read = |path: &std::path::PathBuf| std::fs::read_to_string(path).unwrap();
        files(dir.path())
            .unwrap()
            .iter()
            .map(read)
            .flat_map(|t| t.lines().map(Into::into).collect::<Vec<_>>())
            .collect()
    };
    let mut store = store(&["5.2.0", "8.2.0"]);
    let before = lines(&store);
    store.set(&matrix()[0], label("12.0.0"), json!({"resizes": [{"rc": 1}]}));
    let after = lines(&store);
    assert_eq!(after.difference(&before).count(), 1);
    assert_eq!(before.difference(&after).count(), 0);
}

#[test]
fn a_line_with_another_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    store(&["5.2.0"]).save(dir.path()).unwrap();
    let path = files(dir.path()).unwrap().remove(0);
    let text = std::fs::read_to_string(&path).unwrap();
    let key = matrix()[0].key();
    std::fs::write(&path, text.replace(&key, "0123456789abcdef")).unwrap();
    assert!(matches!(Store::load(dir.path()), Err(BaselineError::Line { .. })));
}

#[test]
fn a_word_selects_the_newest_that_it_means() {
    let store = store(&["5.2.0", "5.2.0-src", "8.2.0", "8.2.3"]);
    assert_eq!(store.select("8.2"), Some(label("8.2.3")));
    assert_eq!(store.select("5.2"), Some(label("5.2.0")));
    assert_eq!(store.select("9"), None);
}
