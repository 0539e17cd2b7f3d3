//! Faults that the comparison on hostile images must catch: the program under test is a qemu-img behind a script that
//! does one thing wrong. Behind one that does nothing, nothing must be found.

use libtest_mimic::{Arguments, Failed, Trial};
use oracle_case::Tools;
use oracle_case::child::Tool;
use oracle_hostile::{
    Answers, Court, Question, RECIPES, Recipe, UNRESIZED, Verdict, chosen, fields_of, spoils, spoils_of,
};
use oracle_judge::{Other, Qemu};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Spoiled images that each trial looks at.
const IMAGES: usize = 30;
/// Those of formats that take longer.
const LARGE_IMAGES: usize = 6;
/// Bytes of the header sector.
const HEADER: usize = 512;

/// A qemu-img that, unlike the real one, does not mark an image as corrupt while it refuses to resize it.
const HONEST: &str = r#"q() {
    [ "$1" = resize ] && cp disk.img before
    qemu-img "$@" && return
    code=$?
    [ "$1" = resize ] && cat before >disk.img
    return $code
}"#;

/// What a program does with its arguments, `q "$@"` being qemu-img, and the question and the kind of the finding that it must lead to.
struct Fault {
    name: &'static str,
    script: &'static str,
    found: (Question, &'static str),
}

const FAULTS: &[Fault] = &[
    Fault {
        name: "info accepts what it should not",
        script: r#"q "$@"; code=$?; [ "$1" = info ] && exit 0; exit $code"#,
        found: (Question::Info, "exit-code"),
    },
    Fault {
        name: "info says another size",
        script: r#"case $1 in info) q "$@" | sed 's/8388608/8388096/'; exit;; esac; q "$@""#,
        found: (Question::Info, "json"),
    },
    Fault {
        name: "info refuses in other words",
        script: r#"case $1 in info) q "$@" 2>err || { echo "qemu-img: no" >&2; exit 1; }; exit;; esac
q "$@""#,
        found: (Question::Info, "words"),
    },
    Fault {
        name: "check finds nothing",
        script: r#"q "$@"; code=$?; [ "$1" = check ] && [ $code != 1 ] && exit 0; exit $code"#,
        found: (Question::Check, "exit-code"),
    },
    Fault {
        name: "a refused resize changes a byte",
        script: r#"q "$@" && exit; [ "$1" = resize ] && printf x | dd of=disk.img bs=1 seek=9000 conv=notrunc 2>/dev/null
exit 1"#,
        found: (Question::Grow, "touched"),
    },
    Fault {
        name: "a resize spoils the L1 table",
        script: r#"q "$@"; code=$?; [ "$1" = resize ] && [ $code = 0 ] && printf '\377' | dd of=disk.img bs=1 seek=12295 conv=notrunc 2>/dev/null
exit $code"#,
        found: (Question::Shrink, "worse"),
    },
    Fault {
        name: "a resize is accepted that should not be",
        script: r#"q "$@"; code=$?; [ "$1" = resize ] && exit 0; exit $code"#,
        found: (Question::Grow, "accepted"),
    },
    Fault {
        name: "a crash",
        script: r#"[ "$1" = check ] && kill -SEGV $$; q "$@""#,
        found: (Question::Check, "failed"),
    },
];

/// Of images that qemu-img does not resize.
const UNRESIZED_FAULTS: &[Fault] = &[
    Fault {
        name: "info says another size of a VHD",
        script: r#"case $1 in info) q "$@" | sed 's/8388608/8388096/'; exit;; esac; q "$@""#,
        found: (Question::Info, "size"),
    },
    Fault {
        name: "a refused resize of a VHD changes a byte",
        script: r#"q "$@" && exit; [ "$1" = resize ] && printf x | dd of=disk.img bs=1 seek=3000 conv=notrunc 2>/dev/null
exit 1"#,
        found: (Question::Shrink, "touched"),
    },
    Fault {
        name: "a resize of a VHD is refused in two lines",
        script: r#"q "$@" && exit; [ "$1" = resize ] && echo more >&2; exit 1"#,
        found: (Question::Grow, "lines"),
    },
    Fault {
        name: "a resize of a VHD does nothing",
        script: r#"[ "$1" = resize ] && exit 0; q "$@""#,
        found: (Question::Grow, "size"),
    },
    Fault {
        name: "a resize of a VHD loses its data",
        script: r#"[ "$1" != resize ] && q "$@" && exit
for size; do :; done; qemu-img create -q -f vpc -o force_size=on disk.img $size"#,
        found: (Question::Grow, "content"),
    },
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![Trial::test("nothing planted", nothing)];
    trials.extend(FAULTS.iter().map(|fault| Trial::test(fault.name, move || caught(fault, RECIPES))));
    let others = UNRESIZED_FAULTS.iter();
    trials.extend(others.map(|fault| Trial::test(fault.name, move || caught(fault, UNRESIZED))));
    if ["qemu-img", "qemu-io"]
        .iter()
        .any(|tool| Tool::new(*tool).run(["--version"], Duration::from_secs(30)).is_err())
    {
        let ignored =
            |trial: Trial| trial.with_ignored_flag(true).with_kind("no qemu-img and qemu-io in PATH");
        trials = trials.into_iter().map(ignored).collect();
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn nothing() -> Result<(), Failed> {
    for recipes in [RECIPES, UNRESIZED] {
        let found = findings(r#"q "$@""#, recipes)?;
        if !found.is_empty() {
            return Err(format!("{found:?} found").into());
        }
    }
    Ok(())
}

fn caught(fault: &Fault, recipes: &[Recipe]) -> Result<(), Failed> {
    let found = findings(fault.script, recipes)?;
    let (question, kind) = fault.found;
    if found.contains(&(question, kind.to_string())) {
        return Ok(());
    }
    Err(format!("{question:?} {kind} should have been found, was: {found:?}").into())
}

/// Questions and kinds of what is found in a program made of `script`, with the first of `recipes`.
fn findings(script: &str, recipes: &[Recipe]) -> Result<BTreeSet<(Question, String)>, Failed> {
    let dir = tempfile::tempdir()?;
    let program = dir.path().join("program");
    std::fs::write(&program, format!("#!/bin/sh\n{HONEST}\n{script}\n"))?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    let tools = Tools { qemu_img: Tool::new("qemu-img"), qemu_io: Tool::new("qemu-io") };
    let qemu = Qemu::probe(tools.qemu_img.clone(), None, dir.path())?;
    let left =
        Other::probe("planted", Tool::new(program), &tools.qemu_img, dir.path(), Duration::from_secs(30))?;
    let answers = Answers::default();
    let court = Court { instar: &left, qemu: &qemu, answers: &answers };
    let recipe = recipes.first().ok_or("no recipe")?;
    let place = dir.path().join("image");
    let good = recipe.make(&place, &tools)?;
    let mut found = BTreeSet::new();
    // Of its header only: some tables make qemu-img run for ever.
    let (all, most) = match fields_of(recipe.format, &good) {
        Some(fields) => (spoils_of(fields, &good), LARGE_IMAGES),
        None => (spoils(&good), IMAGES),
    };
    let spoils: Vec<_> = all.into_iter().filter(|spoil| spoil.field.at < HEADER).collect();
    for spoil in chosen(spoils, most, 1, |spoil| spoil) {
        for sentence in court.judge(recipe, &spoil, &spoil.apply(&good), Path::new(&place))? {
            if let Verdict::Disagree(finding) = sentence.verdict {
                found.insert((sentence.question, finding.kind.to_string()));
            }
        }
    }
    Ok(found)
}
