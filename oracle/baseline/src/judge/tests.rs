use super::*;
use crate::matrix;

/// The first qcow2 case of the matrix that grows an image, and what a version answers to it.
fn grown() -> (Case, Outcome) {
    let case = matrix().into_iter().find(|case| case.format == "qcow2").unwrap();
    let outcome = json!({
        "create": {"rc": 0, "err": ""},
        "resizes": [{"rc": 0, "out": "Image resized.", "err": ""}],
        "header": {"header_length": 104, "size": 5},
        "host": {"length": 10},
    });
    (case, outcome)
}

fn verdicts(case: &Case, recorded: &Outcome, ours: &Outcome) -> Vec<(&'static str, Verdict)> {
    let (label, reader) = ("4.2.0".parse().unwrap(), "10.0.13".parse().unwrap());
    let judged = judge(case, &label, recorded, ours, &reader);
    judged.into_iter().map(|answered| (answered.oracle, answered.verdict)).collect()
}

#[test]
fn what_the_maker_decides_is_no_divergence_and_what_a_resize_decides_is() {
    let (case, recorded) = grown();
    let mut ours = recorded.clone();
    ours["header"]["header_length"] = 112.into();
    assert!(verdicts(&case, &recorded, &ours).iter().all(|(_, v)| !matches!(v, Verdict::Disagree(_))));
    ours["header"]["size"] = 6.into();
    let disagreed = verdicts(&case, &recorded, &ours);
    let disagreed: Vec<_> = disagreed.iter().filter(|(_, v)| matches!(v, Verdict::Disagree(_))).collect();
    assert_eq!(disagreed.iter().map(|(oracle, _)| *oracle).collect::<Vec<_>>(), ["baseline-header"]);
}

#[test]
fn a_refusal_of_what_is_not_supported_is_a_skip_and_any_other_a_finding() {
    let (case, recorded) = grown();
    let mut ours = recorded.clone();
    ours["resizes"][0] = json!({"rc": 1, "out": "", "err": "instar: this is not supported for images"});
    assert!(verdicts(&case, &recorded, &ours).iter().all(|(_, v)| matches!(v, Verdict::Skip(_))));
    ours["resizes"][0]["err"] = "instar: no".into();
    let (oracle, verdict) = verdicts(&case, &recorded, &ours).remove(0);
    let Verdict::Disagree(findings) = verdict else { panic!("{oracle} agrees") };
    assert!(findings.iter().any(|finding| finding.class.kind == Kind::OneRefused));
}

#[test]
fn a_refusal_that_changes_the_file_is_a_finding() {
    let (case, mut recorded) = grown();
    recorded["resizes"][0] =
        json!({"rc": 1, "out": "", "err": "qemu-img: no", "file_changed_on_refusal": true});
    let mut ours = recorded.clone();
    ours["resizes"][0] = json!({"rc": 1, "out": "", "err": "instar: no", "file_changed_on_refusal": true});
    assert!(matches!(verdicts(&case, &recorded, &ours)[0].1, Verdict::Disagree(_)));
    ours["resizes"][0]["file_changed_on_refusal"] = false.into();
    assert_eq!(verdicts(&case, &recorded, &ours)[0].1, Verdict::Agree);
}

#[test]
fn another_command_line_is_not_compared() {
    let (case, mut recorded) = grown();
    let ours = recorded.clone();
    recorded["resizes"][0] = json!({"rc": 1, "out": "", "err": "qemu-img: unrecognized option '--shrink'"});
    assert!(verdicts(&case, &recorded, &ours).iter().all(|(_, v)| matches!(v, Verdict::Skip(_))));
}

#[test]
fn the_order_of_warning_and_hint_is_todays_and_ours_is_not_touched() {
    let (case, mut recorded) = grown();
    let (warning, hint) = ("qemu-img: warning: Shrinking an image will delete it", "Use the --shrink option");
    let told = |err: String| json!({"rc": 1, "out": "", "err": err});
    recorded["resizes"][0] = told(format!("{warning}\n{hint}"));
    let mut ours = recorded.clone();
    ours["resizes"][0] = told(format!("{hint}\n{warning}"));
    assert_eq!(verdicts(&case, &recorded, &ours)[0].1, Verdict::Agree);
    assert!(matches!(verdicts(&case, &recorded, &recorded)[0].1, Verdict::Disagree(_)));
}

#[test]
fn holes_in_allocated_clusters_are_the_hosts_and_what_is_allocated_is_not() {
    let (mut case, mut recorded) = grown();
    case.resizes[0].flags = vec!["--preallocation=metadata".into()];
    recorded["map"] = json!([[0, 5, "d-0"], [5, 5, "dz0"]]);
    let mut ours = recorded.clone();
    let of_map = |ours: &Outcome| {
        let all = verdicts(&case, &recorded, ours);
        all.into_iter().find(|(oracle, _)| *oracle == "baseline-map").unwrap().1
    };
    ours["map"] = json!([[0, 10, "d-0"]]);
    assert_eq!(of_map(&ours), Verdict::Agree);
    ours["map"] = json!([[0, 5, "d-0"], [5, 5, "-z0"]]);
    assert!(matches!(of_map(&ours), Verdict::Disagree(_)));
}

#[test]
fn a_relative_size_is_no_smaller_size() {
    let (mut case, recorded) = grown();
    case.resizes = vec![crate::Resize { flags: vec![], size: "+512".into() }];
    assert_eq!(verdicts(&case, &recorded, &recorded)[0].1, Verdict::Agree);
    case.resizes[0].size = "512".into();
    assert!(matches!(verdicts(&case, &recorded, &recorded)[0].1, Verdict::Skip(_)));
}

/// What a version answers to a fresh VHDX, and instar's image of the same size.
fn fresh() -> (Case, Outcome, Outcome) {
    let case = matrix().into_iter().find(|case| case.format == "vhdx").unwrap();
    let info = json!({"format": "vhdx", "virtual-size": 5});
    let recorded =
        json!({"create": {"rc": 0, "err": ""}, "info": info, "host": {"length": 10}, "resizes": []});
    let mut ours = recorded.clone();
    ours["instar-info"] = json!({"4.2.0": info});
    (case, recorded, ours)
}

#[test]
fn a_fresh_image_is_described_as_the_versions_own() {
    let (case, recorded, ours) = fresh();
    let found = |ours: &Outcome| {
        let disagreed = |(oracle, verdict)| matches!(verdict, Verdict::Disagree(_)).then_some(oracle);
        verdicts(&case, &recorded, ours).into_iter().filter_map(disagreed).collect::<Vec<_>>()
    };
    assert_eq!(found(&ours), [""; 0]);
    let with = |path: &str, value: Value| {
        let mut ours = ours.clone();
        *ours.pointer_mut(path).unwrap() = value;
        ours
    };
    assert_eq!(found(&with("/instar-info/4.2.0/virtual-size", 6.into())), ["baseline-info"]);
    assert_eq!(found(&with("/host/length", 11.into())), ["baseline-host"]);
    assert_eq!(found(&with("/create/err", "other words".into())), [""; 0]);
    assert_eq!(found(&json!({"create": {"rc": 1, "err": "no"}})), ["baseline-create"]);
}

#[test]
fn every_answer_is_judged_of_a_fresh_image_too() {
    let (case, recorded, ours) = fresh();
    let judged: BTreeSet<_> =
        verdicts(&case, &recorded, &ours).into_iter().map(|(oracle, _)| oracle).collect();
    assert_eq!(judged, ANSWERS.iter().map(|(oracle, _)| *oracle).collect());
}
