//! The engine that runs each job in a virtual machine of its own.

use super::{Engine, Job};
use instar_ops::{
    CheckFinding, CheckReport, CheckRequest, CreateRequest, Encryption, ImageInfo, InfoItem, InfoRequest,
    ResizeOutcome, ResizeRequest, UnlockRequest,
};
use instar_vmm::{Kvm, LayerFiles, Others, Window};
use std::fs::File;
use std::ops::Range;

impl Engine for Kvm {
    fn resize(
        &self,
        image: Window<'_>,
        others: &Others<'_>,
        request: &ResizeRequest,
        findings: &mut dyn FnMut(CheckFinding),
    ) -> Job<ResizeOutcome> {
        Ok(self.resize_with(image, others, request, findings)?)
    }

    fn info(
        &self,
        image: Window<'_>,
        extents: &[&File],
        request: &InfoRequest,
    ) -> Job<(ImageInfo, Vec<InfoItem>)> {
        Ok(self.info_with(image, extents, request)?)
    }

    fn check(
        &self,
        image: Window<'_>,
        extents: &[&File],
        request: &CheckRequest,
        findings: &mut dyn FnMut(CheckFinding),
    ) -> Job<CheckReport> {
        Ok(self.check_with(image, extents, request, findings)?)
    }

    fn unlock(
        &self,
        image: Window<'_>,
        request: &UnlockRequest,
        passphrase: Option<&[u8]>,
    ) -> Job<Encryption> {
        Ok(Kvm::unlock(self, image, request, passphrase)?)
    }

    fn reveal(
        &self,
        layers: &[LayerFiles<'_>],
        bytes: &Range<u64>,
        plain: &File,
        passphrase: &[u8],
    ) -> Job<Encryption> {
        Ok(Kvm::reveal(self, layers, bytes, plain, passphrase)?)
    }

    fn create(&self, image: &File, extents: &[&File], request: &CreateRequest) -> Job<ResizeOutcome> {
        Ok(self.create_with(image, extents, request)?)
    }
}
