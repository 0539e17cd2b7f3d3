//! Describes the image.
#![cfg_attr(target_os = "none", no_std, no_main)]

use instar_abi::message::GuestMessage_::Payload;
use instar_guest::{Guest, as_disks, operation};
use instar_ops::{InfoRequest, wire};

fn run(guest: Guest) {
    let request = guest.request(InfoRequest::from_config);
    let (host, files, scratch) = guest.into_files();
    let mut extents = files.from(1);
    let extents = &mut as_disks(&mut extents);
    let result = instar_ops::info_with(&mut files.disk(0), extents, &request, scratch, &mut |item| {
        host.send_item(wire::info_item_to_wire(item));
    });
    host.send_result(Payload::InfoResult(wire::info_to_wire(result)));
}

operation!(run);
