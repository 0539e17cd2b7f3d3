//! Programs and crates that have nothing to do with QEMU see what the model says in images of VHD, VHDX and VMDK.

use super::support::{unexpected_course, unusable};
use crate::foreign::{self, Wrong};
use crate::oracles::Oracle;
use crate::verdict::Finding;
use crate::{JudgeError, Scope, State, Trial, Verdict};
use oracle_case::{Content, expected_content};

/// See the module.
pub struct Foreign {
    name: &'static str,
    about: &'static str,
    reader: &'static dyn foreign::Foreign,
}

/// 7-Zip.
pub const SEVEN_ZIP: Foreign = Foreign {
    name: "7-zip",
    about: "7-Zip opens the VHD, VHDX or VMDK image without complaint, tells its size, and unpacks what the model says from disks up to 32 MiB",
    reader: &foreign::SevenZip,
};
/// libvhdi and libvmdk.
pub const LIBYAL: Foreign = Foreign {
    name: "libyal",
    about: "vhdiinfo or vmdkinfo tells the size of the VHD, VHDX or VMDK image",
    reader: &foreign::Libyal,
};
/// Crates.
pub const CRATES: Foreign = Foreign {
    name: "crates",
    about: "the crate vhd, vhdx-core or vmdk-core tells the size of the image, and reads every written extent as written, and zeros around and behind them",
    reader: &foreign::Crates,
};

impl Foreign {
    /// What is wrong with an image in which `content` should be, by this reader, if it reads such images.
    ///
    /// # Errors
    /// [`JudgeError`].
    pub fn look(
        &self,
        trial: &Trial,
        image: &State,
        content: &Content,
    ) -> Result<Option<Finding>, JudgeError> {
        let format = &trial.case.fixture.format;
        if self.reader.unable(format, image, content.size()).is_some() {
            return Ok(None);
        }
        Ok(self
            .seen(trial, image, content)?
            .map(|wrong| trial.finding(self.name, wrong.field, wrong.kind, wrong.detail)))
    }

    fn seen(&self, trial: &Trial, image: &State, content: &Content) -> Result<Option<Wrong>, JudgeError> {
        self.reader.look(trial.desk, &trial.case.fixture.format, image, content)
    }
}

impl Oracle for Foreign {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn scope(&self) -> Scope {
        Scope::Alone
    }

    fn judge(&self, trial: &Trial) -> Result<Verdict, JudgeError> {
        let fixture = &trial.case.fixture;
        if !fixture.format.is_unresized() {
            return Ok(Verdict::skip("asked about VHD, VHDX and VMDK"));
        }
        if let Some(why) = unexpected_course(trial).or_else(|| unusable(trial)) {
            return Ok(Verdict::skip(why));
        }
        let (image, content) = (trial.left.last(), trial.expected_content());
        if let Some(why) = self.reader.unable(&fixture.format, image, content.size()) {
            return Ok(Verdict::skip(why));
        }
        let Some(wrong) = self.seen(trial, image, &content)? else {
            return Ok(Verdict::Agree);
        };
        // A layout that it does not understand is no matter of the resize.
        let before = self.seen(trial, &trial.left.start, &expected_content(fixture))?;
        if before.is_some_and(|before| before.field == wrong.field) {
            return Ok(Verdict::skip(format!("reads no such image, resized or not ({})", wrong.field)));
        }
        Ok(Verdict::of(vec![trial.finding(self.name, wrong.field, wrong.kind, wrong.detail)]))
    }
}
