//! Resizes the image.
#![cfg_attr(target_os = "none", no_std, no_main)]

use instar_abi::message::GuestMessage_::Payload;
use instar_guest::{Device, Files, Guest, SharedDisk, as_disks, operation};
use instar_ops::{
    Attached, CheckFinding, Companions, Disk, Layer, MAX_LAYERS, OpError, ReadAt, ResizeOutcome,
    ResizeRequest, resize_mended, wire,
};

/// The files of a layer.
type LayerDisks<'f> = (SharedDisk<'f, Device>, Option<SharedDisk<'f, Device>>);

fn run(guest: Guest) {
    let request = guest.request(ResizeRequest::from_config);
    let attached = guest.request(Attached::from_config);
    let (host, files, scratch) = guest.into_files();
    assert!(attached.all_files() == files.count(), "there are other files than there should be");
    let mut tell = |finding| host.send_item(Payload::CheckFinding(wire::finding_to_wire(finding)));
    let result = resize(&files, &attached, &request, scratch, &mut tell);
    host.send_result(Payload::ResizeResult(wire::resize_to_wire(&result)));
}

fn resize(
    files: &Files,
    attached: &Attached,
    request: &ResizeRequest,
    scratch: &mut [u8],
    tell: &mut dyn FnMut(CheckFinding),
) -> Result<ResizeOutcome, OpError> {
    let mut own = files.from(attached.files());
    let mut data_file = attached.data_file.then(|| files.disk(Attached::DATA_FILE));
    let mut number = attached.first_layer();
    let mut next = || {
        let disk = files.disk(number);
        number += 1;
        disk
    };
    let disks = attached.layers.iter().map(|shape| (next(), shape.data_file.then(&mut next)));
    let mut disks: heapless::Vec<LayerDisks<'_>, MAX_LAYERS> = disks.collect();
    let layers = disks.iter_mut().zip(&attached.layers).map(|((file, data_file), shape)| Layer {
        file,
        data_file: data_file.as_mut().map(|file| file as &mut dyn ReadAt),
        format: shape.format,
    });
    let mut layers: heapless::Vec<Layer<'_>, MAX_LAYERS> = layers.collect();
    let mut extents = as_disks(&mut own);
    let mut companions = Companions {
        data_file: data_file.as_mut().map(|file| file as &mut dyn Disk),
        backing: &mut layers,
        detached: attached.detached,
        unlocked: attached.unlocked,
        extents: &mut extents,
    };
    resize_mended(&mut files.disk(0), &mut companions, request, scratch, tell)
}

operation!(run);
