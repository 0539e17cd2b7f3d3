//! Tells whether a passphrase opens the image, and reads what an overlay must keep of it: the only guest that is ever given
//! a passphrase. It writes to no image.
#![cfg_attr(target_os = "none", no_std, no_main)]

use instar_abi::message::GuestMessage_::Payload;
use instar_abi::unlock::UnlockConfig;
use instar_guest::{Guest, as_layers, operation};
use instar_ops::{Revealed, UnlockRequest, wire};

fn run(guest: Guest) {
    let request = guest.request(UnlockRequest::from_config);
    let revealed = guest.request(Revealed::from_config);
    let config = guest.request(|config: &UnlockConfig| Some(*config));
    let (host, files, scratch) = guest.into_files();
    let result = if revealed.layers.is_empty() {
        instar_ops::unlock(&mut files.disk(0), &request, config.passphrase(), scratch)
    } else {
        assert!(revealed.plain() + 1 == files.count(), "there are other files than there should be");
        let mut disks = files.layers(0, &revealed.layers);
        let mut layers = as_layers(&mut disks, &revealed.layers);
        let mut plain = files.disk(revealed.plain());
        let passphrase = config.passphrase().unwrap_or_default();
        instar_ops::reveal(&mut layers, &revealed.bytes(), &mut plain, passphrase, scratch)
    };
    host.send_result(Payload::UnlockResult(wire::unlock_to_wire(&result)));
}

operation!(run);
