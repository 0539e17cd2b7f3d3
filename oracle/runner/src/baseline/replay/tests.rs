use super::*;
use serde_json::json;

fn asked(format: &str, answer: Outcome) -> Asked {
    let case = json!({"format": format, "options": {}, "start": 512, "setup": [], "writes": [],
        "resizes": [{"flags": [], "size": "1024"}]});
    Asked { case: serde_json::from_value(case).unwrap(), label: "11.1.3".parse().unwrap(), answer }
}

fn outcome(rc: u8, err: &str) -> Outcome {
    json!({"create": {"rc": 0, "err": ""}, "resizes": [{"rc": rc, "out": "", "err": err}],
        "host": {"length": 1024}})
}

fn fate_of(theirs: Outcome, ours: &Outcome) -> Fate {
    fate(&asked("raw", theirs), ours, &"11.1.3".parse().unwrap())
}

#[test]
fn a_case_is_equal_or_differs_for_a_reason() {
    let fine = outcome(0, "");
    assert_eq!(fate_of(fine.clone(), &fine), Fate::Equal);
    let refused = outcome(1, "instar: no");
    let Fate::Differs(why, _) = fate_of(fine.clone(), &refused) else { panic!("equal") };
    assert!(why.starts_with("baseline-resize") && why.ends_with(r#"err: "instar: no", not """#), "{why}");
    let unsupported = outcome(1, "instar: this is not supported");
    assert!(
        matches!(fate_of(fine.clone(), &unsupported), Fate::Differs(..)),
        "what instar does not do differs"
    );
    let nothing = json!({"create": {"rc": 1, "err": "no such option"}});
    assert!(matches!(fate_of(nothing, &fine), Fate::Nothing(_)));
    let mut longer = fine.clone();
    longer["host"]["length"] = 2048.into();
    let Fate::Differs(why, detail) = fate_of(fine, &longer) else { panic!("equal") };
    assert!(why == "baseline-host host.length" && detail.contains("2048"), "{why}: {detail}");
}

#[test]
fn an_entry_whose_case_does_not_show_it_is_stale() {
    let one = &explained()[0];
    let store = Store::load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../baselines"))).unwrap();
    let case = store.entries().find(|entry| entry.case.key() == one.case).unwrap().case.clone();
    let own = || vec![Asked { case: case.clone(), ..asked("raw", Outcome::Null) }];
    assert_eq!(stale(&own(), &[Fate::Equal]), [one.id]);
    assert_eq!(stale(&own(), &[Fate::Known(BTreeMap::from([("other", vec![])]))]), [one.id]);
    assert!(stale(&own(), &[Fate::Known(BTreeMap::from([(one.id, vec![])]))]).is_empty());
    assert!(stale(&[asked("raw", Outcome::Null)], &[Fate::Equal]).is_empty());
}

#[test]
fn the_sum_counts_every_case_once() {
    let all = ["raw", "qcow2", "qcow2", "qcow2"].map(|format| asked(format, Outcome::Null));
    let known = Fate::Known(BTreeMap::from([("shrink", vec![])]));
    let fates = [
        Fate::Equal,
        known,
        Fate::Differs("host".into(), "5, not 6".into()),
        Fate::Nothing("no image".into()),
    ];
    let text = summary("kvm", &all, &fates);
    let numbers = |line: &str| line.split_whitespace().skip(1).map(String::from).collect::<Vec<_>>();
    let rows: Vec<Vec<String>> = text.lines().skip(3).map(numbers).collect();
    assert_eq!(
        rows,
        [["1", "1", "0", "0", "0"], ["3", "0", "1", "1", "1"], ["4", "1", "1", "1", "1"]],
        "{text}"
    );
    let text = reasons(&all, &fates, false);
    assert!(text.contains("known: shrink: 1\n") && text.contains("DIFFERS: host: 1\n    "), "{text}");
}
