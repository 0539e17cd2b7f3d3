//! One case with its subjects, and an oracle let loose on it.

use crate::faults::Plant;
use libtest_mimic::Failed;
use oracle_case::child::Tool;
use oracle_case::{Case, Tools, build};
use oracle_judge::subject::IMAGE;
use oracle_judge::{Desk, Instar, Qemu, Record, Scope, State, Trial, Verdict, all, record};
use tempfile::TempDir;

/// Makes qemu-img look like an instar: options that only instar has are dropped. What is planted
/// runs first, with `verb` set and `args` still to be changed; `real` is what it stands in for, `spoil OFFSET BYTES` changes
/// the image.
const SCRIPT: &str = r#"
verb=$1
args=""
while [ $# -gt 0 ]; do
    case $1 in
    --engine | --qemu-version) shift ;;
    *) args="$args $1" ;;
    esac
    shift
done
real() { qemu-img $args; }
spoil() { printf %s "$2" | dd of=disk.img bs=1 seek="$1" conv=notrunc status=none; }
PLANTED
real
"#;

/// A case and who takes part in it.
pub struct Lab {
    dir: TempDir,
    case: Case,
    fixture: State,
    left: Instar,
    right: Qemu,
}

impl Lab {
    /// `script` is planted in the stand-in for instar.
    pub fn new(case: &str, script: &str) -> Result<Self, Failed> {
        let dir = TempDir::new()?;
        let case = Case::from_json(case)?;
        let img = Tool::new("qemu-img");
        let io = Tool::new("qemu-io");
        let right = Qemu::probe(img.clone(), Some(io.clone()), dir.path())?;
        let tools = Tools { qemu_img: img, qemu_io: io };
        let place = dir.path().join("fixture");
        std::fs::create_dir(&place)?;
        std::fs::rename(build(&case.fixture, &place, &tools)?, place.join(IMAGE))?;
        let script = SCRIPT.replace("PLANTED", script);
        let stand_in = Tool {
            program: "/bin/sh".into(),
            leading_args: vec!["-c".into(), script.into(), "instar".into()],
        };
        let left = Instar::new(stand_in, "in-process");
        Ok(Self { fixture: State::of(place)?, dir, case, left, right })
    }

    /// The fields of what `oracle` finds after `plant` did what it does to the image at the end.
    pub fn judge(&self, oracle: &str, plant: Option<Plant>) -> Result<Vec<String>, Failed> {
        let (case, dir) = (&self.case, self.dir.path());
        let mut left = record(&self.left, case, &self.fixture, &dir.join("left"))?;
        let right = record(&self.right, case, &self.fixture, &dir.join("right"))?;
        if let Some(plant) = plant {
            spoil(&mut left, plant)?;
        }
        let readers = [&self.right];
        let desk = Desk::new(case, dir, &readers);
        let oracle = all().iter().find(|o| o.name() == oracle).ok_or("no such oracle")?;
        let same = record(&self.left, case, &self.fixture, &dir.join("same"))?;
        let other = match oracle.scope() {
            Scope::Alone => None,
            Scope::Pair => Some(&right),
            Scope::Engines => Some(&same),
        };
        Ok(match oracle.judge(&Trial::new(case, &left, other, &desk))? {
            Verdict::Agree | Verdict::Skip(_) => Vec::new(),
            Verdict::Disagree(findings) => findings.into_iter().map(|f| f.class.field).collect(),
        })
    }
}

fn spoil(record: &mut Record, plant: Plant) -> Result<(), Failed> {
    let step = record.steps.last_mut().ok_or("a case without a resize")?;
    plant(&step.after.path())?;
    step.after = State::of(&step.after.dir)?;
    Ok(())
}
