//! The `.plugin` file: what a release is made of. Nothing here builds or installs.
//!
//! A `.plugin` file is a tar archive with every member below `metwork_plugin/`. Ours is compressed as several
//! zstd frames, cut between members:
//!
//! | frame | members |
//! | --- | --- |
//! | 1 | the directory itself, `.layerapi2_label`, `.metadata.json`, `.files.json`: all that `info` needs |
//! | 2 | `.mwp_manifest.json`: kind, size, mode and sha256 of every other member |
//! | 3… | the plugin's tree, files of a directory by extension, one frame per group of some megabytes |
//! | last | the end marker |
//!
//! Frames are independent, so they are compressed side by side, and an unchanged group's frame is taken from the
//! frame store. For the same reason an update passes over frames that the installed version came from. Decompressed one
//! after the other they are one ordinary tar, which `tar --zstd -xf` reads. The gzip format holds the same members as one
//! ordinary gzip stream, for sites that run upstream's installer.
//!
//! A member larger than a frame is continued in the next ones: frames are how the file is compressed, the tar
//! within does not depend on them.
//!
//! Files from anywhere are read by a policy of our own: `members` reads the tar strictly, `policy` judges each
//! member before it is written, `checklist` compares it with the manifest while it is, and after a refusal nothing
//! remains. What that knowingly does not cover: who made a file (it is not signed), and what its code does.
//!
//! With `SOURCE_DATE_EPOCH` the same tree yields the same bytes; without it members keep their files' times
//! (nginx derives ETags from them) and the metadata tells when and where the file was made.

mod amend;
mod bounded;
mod checklist;
mod compress;
mod description;
mod exclude;
mod frame;
mod frame_list;
mod frame_store;
mod frames;
#[cfg(test)]
mod fuzz;
mod group;
mod head;
mod header;
mod inventory;
mod large;
mod limits;
mod links;
mod manifest;
mod members;
mod metadata;
mod node;
mod pack;
mod policy;
mod read;
mod record;
mod remade;
mod reuse;
mod room;
mod secrets;
mod source;
mod spool;
mod stream;
mod tree;
mod unpack;
mod verify;
mod writers;

pub use amend::amend_manifest;
pub use description::Description;
pub use frame::Format;
pub use inventory::Inventory;
pub use limits::Limits;
pub use manifest::{Manifest, ManifestEntry, MemberKind};
pub use metadata::Metadata;
pub use node::DevPackages;
pub use pack::{Inspection, Options, Packed, inspect, pack};
pub use read::{Artifact, manifest_of};
pub use remade::Remade;
pub use reuse::{Look, mend};
pub use stream::Compression;
pub use unpack::{Installed, Unpacked, unpack, unpack_update};
pub use verify::{
    Damage, DamageKind, describe, describe_knowing, lost_manifest, verify, was_unpacked_with_manifest,
};

/// The directory that holds every member.
pub const ROOT: &str = "metwork_plugin";
/// The label, which also is in the plugin's directory.
pub const LABEL: &str = ".layerapi2_label";
/// Upstream's metadata, made when packing.
pub const METADATA: &str = ".metadata.json";
/// Upstream's list of files, made when packing.
pub const FILES: &str = ".files.json";
/// Our list of members with their checksums, made when packing.
pub const MANIFEST: &str = ".mwp_manifest.json";
