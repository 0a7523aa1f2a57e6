//! Archives that are not plainly a plugin: each is refused with its reason, soon, and nothing of it remains.

use mwp::artifact::{Limits, unpack};

use crate::support::Sandbox;
use crate::support::tar::{LABEL, METADATA, Tar, checksum, header, record};
use crate::support::unpacking::{all_refused, gzip, zstd};

const IN: &str = "metwork_plugin";

fn file(name: impl AsRef<[u8]>) -> Vec<u8> {
    Tar::plugin().file(name, "evil").end()
}

#[test]
fn names_that_are_not_plain_are_refused() {
    let out = "a name that leads out of the plugin";
    all_refused(vec![
        ("dots within", file("metwork_plugin/../evil"), out),
        ("dots first", file("../evil"), out),
        ("dots deep", file("metwork_plugin/a/b/../../../../evil"), out),
        ("dots last", file("metwork_plugin/.."), out),
        ("absolute", file("/tmp/evil"), "a name that is absolute"),
        ("empty part", file("metwork_plugin//evil"), "a name with an empty part"),
        ("dot", file("metwork_plugin/./evil"), "a name with a `.` in it"),
        ("dot first", file("./metwork_plugin/evil"), "a name with a `.` in it"),
        ("elsewhere", file("other/evil"), "a name that is not below `metwork_plugin/`"),
        ("similar root", file("metwork_pluginX/evil"), "a name that is not below"),
        ("backslashes", file("metwork_plugin\\..\\evil"), "a name that is not below"),
        ("root as a file", file("metwork_plugin"), "which should be a directory"),
        ("escape sequence", file("metwork_plugin/\u{1b}[31mred"), "a name with a control character"),
        ("newline", file("metwork_plugin/a\nb"), "a name with a control character"),
        ("delete", file("metwork_plugin/a\u{7f}"), "a name with a control character"),
        ("C1 control", file("metwork_plugin/a\u{9b}31m"), "a name with a control character"),
        ("not UTF-8", file(b"metwork_plugin/\xff\xfe"), "a name that is not UTF-8"),
        ("empty", file(""), "a name that is empty"),
        (
            "long part",
            Tar::plugin().long_name(format!("{IN}/{}", "x".repeat(256))).file("x", "").end(),
            "a name with a part of more than 255 bytes",
        ),
        (
            "long path",
            Tar::plugin().long_name(format!("{IN}{}", "/abcdefghi".repeat(205))).file("x", "").end(),
            "a name of more than 2048 bytes",
        ),
        (
            "deep path",
            Tar::plugin().long_name(format!("{IN}{}", "/d".repeat(101))).file("x", "").end(),
            "a path that is deeper than 100 directories",
        ),
        (
            "file with a slash and content",
            Tar::plugin().file("metwork_plugin/x/", "evil").end(),
            "a directory or link with content",
        ),
    ]);
}

#[test]
fn extension_headers_cannot_smuggle() {
    let path = |value: &[u8]| record("path", value);
    let long = |size: usize| Tar::plugin().member("x", b'L', 0, b"", &vec![b'x'; size]).file("x", "").end();
    all_refused(vec![
        ("PAX dots", Tar::plugin().pax(&[path(b"metwork_plugin/../evil")]).file("ok", "").end(), "leads out"),
        ("PAX absolute", Tar::plugin().pax(&[path(b"/tmp/evil")]).file("ok", "").end(), "absolute"),
        (
            "PAX NUL",
            Tar::plugin().pax(&[path(b"metwork_plugin/a\0b")]).file("ok", "").end(),
            "control character",
        ),
        ("PAX empty", Tar::plugin().pax(&[path(b"")]).file("metwork_plugin/ok", "").end(), "empty"),
        (
            "PAX two names",
            Tar::plugin().pax(&[path(b"a"), path(b"b")]).file("ok", "").end(),
            "one member two names",
        ),
        (
            "two PAX headers",
            Tar::plugin().pax(&[path(b"a")]).pax(&[path(b"b")]).file("ok", "").end(),
            "one member two names",
        ),
        (
            "GNU and PAX",
            Tar::plugin()
                .long_name("metwork_plugin/a")
                .pax(&[path(b"metwork_plugin/b")])
                .file("ok", "")
                .end(),
            "one member two names",
        ),
        ("two GNU names", Tar::plugin().long_name("a").long_name("b").file("ok", "").end(), "two long names"),
        ("GNU dots", Tar::plugin().long_name("metwork_plugin/../evil").file("ok", "").end(), "leads out"),
        (
            "PAX link out",
            Tar::plugin().pax(&[record("linkpath", b"/etc/passwd")]).link("metwork_plugin/l", "ok").end(),
            "an absolute path",
        ),
        (
            "GNU link out",
            Tar::plugin().member("x", b'K', 0, b"", b"../../etc\0").link("metwork_plugin/l", "ok").end(),
            "outside the plugin",
        ),
        (
            "PAX size too small",
            Tar::plugin().pax(&[record("size", b"0")]).file("metwork_plugin/x", "not a header").end(),
            "wrong checksum",
        ),
        (
            "PAX size too large",
            Tar::plugin().pax(&[record("size", b"99999")]).file("metwork_plugin/x", "x").end(),
            "truncated",
        ),
        (
            "PAX bad size",
            Tar::plugin().pax(&[record("size", b"-1")]).file("metwork_plugin/x", "x").end(),
            "bad size",
        ),
        (
            "PAX bad length",
            Tar::plugin().pax(&[b"99 path=x\n".to_vec()]).file("x", "").end(),
            "cannot be read",
        ),
        ("PAX no newline", Tar::plugin().pax(&[b"8 path=x".to_vec()]).file("x", "").end(), "cannot be read"),
        ("PAX no digits", Tar::plugin().pax(&[b"path=x\n".to_vec()]).file("x", "").end(), "cannot be read"),
        (
            "PAX zero length",
            Tar::plugin().pax(&[b"0 path=x\n".to_vec()]).file("x", "").end(),
            "cannot be read",
        ),
        ("PAX sparse", Tar::plugin().pax(&[record("GNU.sparse.major", b"1")]).file("x", "").end(), "sparse"),
        (
            "global name",
            Tar::plugin().member("g", b'g', 0, b"", &path(b"evil")).file("metwork_plugin/x", "").end(),
            "for all members at once",
        ),
        ("huge name", long(100_000), "an extension header of 100.0 kB"),
        (
            "size of a huge name only",
            Tar::plugin().raw(header(b"x", b'L', 0o77_777_777_777, 0, b"")).end(),
            "an extension header of 8.6 GB",
        ),
        ("name without a member", Tar::plugin().long_name("metwork_plugin/x").end(), "without a member"),
        (
            "very many headers",
            Tar::plugin().raw(Tar(Vec::new()).pax(&[record("comment", b"x")]).0.repeat(100)).end(),
            "more extension headers",
        ),
    ]);
}

#[test]
fn links_that_leave_the_plugin_are_refused() {
    let link = |target: &[u8]| Tar::plugin().link("metwork_plugin/l", target).end();
    let hard =
        |target: &str| Tar::plugin().file("metwork_plugin/a", "a").hard_link("metwork_plugin/h", target);
    let before = "which is no file that came before it";
    all_refused(vec![
        ("absolute", link(b"/etc/passwd"), "`metwork_plugin/l`, a link to `/etc/passwd`, an absolute path"),
        ("outside", link(b"../victim"), "which is outside the plugin"),
        ("far outside", link(b"a/../../../../../../etc"), "which is outside the plugin"),
        (
            "outside through a link",
            Tar::plugin()
                .link("metwork_plugin/a/b/top", "../..")
                .link("metwork_plugin/l", "a/b/top/../x")
                .end(),
            "which is outside the plugin",
        ),
        ("to itself", link(b"l"), "which never ends"),
        (
            "to each other",
            Tar::plugin().link("metwork_plugin/l", "m").link("metwork_plugin/m", "l").end(),
            "which never ends",
        ),
        ("empty target", link(b""), "a link that is empty"),
        ("control character", link(b"a\x1b[2J"), "a link with a control character"),
        ("target not UTF-8", link(b"\xff"), "a link that is not UTF-8"),
        (
            "with content",
            Tar::plugin().member("metwork_plugin/l", b'2', 0, b"a", b"evil").end(),
            "a directory or link with content",
        ),
        ("root as a link", Tar(Vec::new()).link(IN, "/tmp").end(), "which should be a directory"),
        (
            "file below a link",
            Tar::plugin().link("metwork_plugin/l", "..").file("metwork_plugin/l/victim", "evil").end(),
            "which is below `metwork_plugin/l`, no directory",
        ),
        (
            "file through a link inside",
            Tar::plugin()
                .directory("metwork_plugin/d")
                .link("metwork_plugin/l", "d")
                .file("metwork_plugin/l/x", "")
                .end(),
            "which is below `metwork_plugin/l`, no directory",
        ),
        (
            "file over a link",
            Tar::plugin().link("metwork_plugin/l", "../victim").file("metwork_plugin/l", "evil").end(),
            "has `metwork_plugin/l` twice",
        ),
        (
            "directory over a link",
            Tar::plugin().link("metwork_plugin/l", "..").directory("metwork_plugin/l").end(),
            "has `metwork_plugin/l/` twice".trim_end_matches("/` twice"),
        ),
        (
            "link over a directory in use",
            Tar::plugin().file("metwork_plugin/d/x", "").link("metwork_plugin/d", "..").end(),
            "which is a directory for other members",
        ),
        ("hard link to an absolute name", hard("/etc/passwd").end(), before),
        ("hard link outside", hard("metwork_plugin/../victim").end(), before),
        ("hard link elsewhere", hard("victim").end(), before),
        ("hard link to a later file", hard("metwork_plugin/z").file("metwork_plugin/z", "").end(), before),
        ("hard link to itself", hard("metwork_plugin/h").end(), before),
        ("hard link to a directory", hard("metwork_plugin").end(), before),
        (
            "hard link to a link",
            Tar::plugin()
                .link("metwork_plugin/l", "../victim")
                .hard_link("metwork_plugin/h", "metwork_plugin/l")
                .end(),
            before,
        ),
        (
            "hard link over a file",
            hard("metwork_plugin/a").hard_link("metwork_plugin/a", "metwork_plugin/h").end(),
            "twice",
        ),
        (
            "write through a hard link",
            hard("metwork_plugin/a").file("metwork_plugin/h", "evil").end(),
            "has `metwork_plugin/h` twice",
        ),
    ]);
}

#[test]
fn no_link_leads_the_installation_itself_astray() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.work().join("staging")).unwrap();
    let limits = Limits { external_links: true, ..Limits::default() };
    for name in ["local", "local/bin", ".mwp_manifest.json", "config.ini", ".configuration_cache2"] {
        let archive = Tar::plugin().link(&format!("metwork_plugin/{name}"), "/tmp/elsewhere").end();
        let file = sandbox.write("x.plugin", archive);
        let error = unpack(&file, &sandbox.work().join("staging/hello"), &limits).unwrap_err();
        assert!(
            error.to_string().contains("a link to `/tmp/elsewhere`, an absolute path"),
            "{name}: {error}"
        );
    }
    let archive = Tar::plugin().link("metwork_plugin/data", "/tmp/elsewhere").end();
    let file = sandbox.write("x.plugin", archive);
    unpack(&file, &sandbox.work().join("staging/hello"), &limits).unwrap();
}

#[test]
fn only_files_directories_and_links_are_allowed() {
    let kind = |kind: u8| Tar::plugin().member("metwork_plugin/x", kind, 0o666, b"", b"").end();
    all_refused(vec![
        ("character device", kind(b'3'), "which is a device"),
        ("block device", kind(b'4'), "which is a device"),
        ("named pipe", kind(b'6'), "which is a named pipe"),
        ("sparse file", kind(b'S'), "which is a sparse file"),
        ("unknown", kind(b'Z'), "which is a member of unknown type"),
        ("volume label", kind(b'V'), "which is a member of unknown type"),
        ("continued volume", kind(b'M'), "which is a member of unknown type"),
        (
            "directory with content",
            Tar::plugin().member("metwork_plugin/x", b'5', 0, b"", b"evil").end(),
            "a directory or link with content",
        ),
    ]);
}

#[test]
fn a_name_is_used_once() {
    let two = |a: &str, b: &str| Tar::plugin().file(a, "").file(b, "").end();
    all_refused(vec![
        ("twice", two("metwork_plugin/a", "metwork_plugin/a"), "has `metwork_plugin/a` twice"),
        ("file and directory", two("metwork_plugin/a", "metwork_plugin/a/b"), "no directory"),
        (
            "directory and file",
            two("metwork_plugin/a/b", "metwork_plugin/a"),
            "a directory for other members",
        ),
        (
            "directory twice",
            Tar::plugin().directory("metwork_plugin/d/").directory("metwork_plugin/d").end(),
            "twice",
        ),
        ("second label", two("metwork_plugin/.layerapi2_label", "metwork_plugin/b"), "twice"),
    ]);
}

#[test]
fn damaged_archives_are_refused() {
    let good = Tar::plugin().file("metwork_plugin/x", vec![b'x'; 3000]).end();
    let body = good.len() - 1024;
    let cut = |length: usize| good[..length].to_vec();
    let changed = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let sized = |field: &[u8]| {
        let mut block = header(b"metwork_plugin/y", b'0', 0, 0o644, b"");
        block[124..124 + field.len()].copy_from_slice(field);
        checksum(&mut block);
        Tar::plugin().raw(block).end()
    };
    let noise: Vec<u8> = (0..5000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let damaged = |mut bytes: Vec<u8>, from_end: usize| {
        let at = bytes.len() - from_end;
        bytes[at] ^= 0x40;
        bytes
    };
    all_refused(vec![
        ("empty", Vec::new(), "is not a plugin file"),
        ("text", b"hello".to_vec(), "is not a plugin file"),
        ("noise", noise.clone(), "is not a plugin file"),
        ("gzip of noise", gzip(&noise), "is damaged"),
        ("zstd of noise", zstd(&noise), "is damaged"),
        ("zstd magic and noise", [&[0x28, 0xb5, 0x2f, 0xfd][..], &noise].concat(), "damaged"),
        ("gzip magic and noise", [&[0x1f, 0x8b][..], &noise].concat(), "damaged"),
        ("cut in a header", cut(body - 3072 - 100), "is truncated"),
        ("cut in content", cut(body - 100), "is truncated"),
        ("no end marker", cut(body), "it has no end marker"),
        ("half an end marker", cut(body + 512), "its end marker is not complete"),
        ("cut gzip", gzip(&good)[..150].to_vec(), "is truncated"),
        (
            "gzip without its trailer",
            {
                let g = gzip(&good);
                g[..g.len() - 4].to_vec()
            },
            "is truncated",
        ),
        ("cut zstd", zstd(&good)[..150].to_vec(), "is truncated"),
        ("gzip with a wrong checksum", damaged(gzip(&good), 6), "is damaged"),
        ("zstd with a wrong checksum", damaged(zstd(&good), 2), "is damaged"),
        ("header with a wrong checksum", changed(body - 3072 - 512 + 3), "a header has a wrong checksum"),
        ("members after the end", [&good[..], &good].concat(), "goes on after its end marker"),
        ("noise after the end", [&good[..], &noise, &[1; 120]].concat(), "after its end marker"),
        ("zeros after the end", [&good[..], &vec![0; 5 << 20]].concat(), "more padding after its end"),
        ("negative size", sized(&[0xff; 12]), "out of proportion"),
        ("size that is no number", sized(b"hello world\0"), "bad size"),
        (
            "size beyond everything",
            sized(&[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            "out of proportion",
        ),
        ("huge size", sized(b"77777777777\0"), "out of proportion"),
        ("size beyond the end", sized(b"00000777777\0"), "is truncated"),
    ]);
}

#[test]
fn what_is_out_of_proportion_is_refused() {
    let zeros = vec![0; 8 << 20];
    let bomb = |compress: fn(&[u8]) -> Vec<u8>| {
        let size = 10_u64 << 30;
        let start = Tar::plugin().raw(header(b"metwork_plugin/bomb", b'0', size, 0o644, b"")).0;
        let mut bytes = compress(&start);
        bytes.extend(compress(&zeros).repeat((size >> 23) as usize));
        bytes.extend(compress(&[0; 1024]));
        bytes
    };
    let many_files = {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        let mut tar = Tar(&mut encoder).describe(LABEL, METADATA, "[]");
        for n in 0..300 {
            tar = tar.file(format!("metwork_plugin/{n}"), &zeros[..1 << 20]);
        }
        tar.end();
        encoder.finish().unwrap()
    };
    let declared = Tar::plugin().raw(header(b"metwork_plugin/a", b'0', 8 << 30, 0o644, b"")).0;
    all_refused(vec![
        ("zstd bomb", bomb(zstd), "out of proportion"),
        ("gzip bomb", bomb(gzip), "out of proportion"),
        ("bomb of many files", many_files, "out of proportion"),
        ("announced only", declared, "out of proportion"),
        ("large label", Tar::with(&"x".repeat(5000), METADATA, "[]").end(), "which is too much"),
        ("large metadata", Tar::with(LABEL, &" ".repeat(2 << 20), "[]").end(), "which is too much"),
    ]);
}

#[test]
fn what_does_not_say_what_it_is_is_refused() {
    let without = |name: &str| {
        let mut tar = Tar(Vec::new()).directory("metwork_plugin/");
        for (path, content) in
            [(".layerapi2_label", LABEL), (".metadata.json", METADATA), (".files.json", "[]")]
        {
            if path != name {
                tar = tar.file(format!("metwork_plugin/{path}"), content);
            }
        }
        tar.end()
    };
    let label = |label: &str| Tar::with(label, METADATA, "[]").end();
    let metadata = |from: &str, to: &str| Tar::with(LABEL, &METADATA.replace(from, to), "[]").end();
    all_refused(vec![
        (
            "nothing",
            Tar(Vec::new()).directory("metwork_plugin").end(),
            "has no `metwork_plugin/.layerapi2_label`",
        ),
        ("no label", without(".layerapi2_label"), "has no `metwork_plugin/.layerapi2_label`"),
        ("no metadata", without(".metadata.json"), "has no `metwork_plugin/.metadata.json`"),
        ("no list of files", without(".files.json"), "has no `metwork_plugin/.files.json`"),
        ("label that leads out", label("plugin_../../X@mfserv"), "holds `.`"),
        ("label with a newline", label("plugin_foo\nbar@mfserv"), "holds `\\n`"),
        ("label without a module", label("plugin_foo"), "has no `@MODULE`"),
        ("reserved label", label("plugin_base@mfserv"), "is reserved"),
        (
            "label as a link",
            Tar(Vec::new())
                .link("metwork_plugin/.layerapi2_label", "x")
                .file("metwork_plugin/x", LABEL)
                .end(),
            "has no `metwork_plugin/.layerapi2_label`",
        ),
        ("version for the shell", metadata("\"1.0\"", "\"1;touch x\""), "the version is `1;touch x`"),
        ("release for the shell", metadata("\"1\"", "\"$(touch x)\""), "the release is `$(touch x)`"),
        ("version that leads out", metadata("\"1.0\"", "\"../../x\""), "the version is `../../x`"),
        ("upper case", metadata("\"1.0\"", "\"1.0RC\""), "the version is `1.0RC`"),
        ("empty version", metadata("\"1.0\"", "\"\""), "the version is empty"),
        ("size as a number", metadata("\"12\"", "12"), "bad metadata"),
        ("no JSON", metadata("{", ""), "bad metadata"),
        ("deep JSON", Tar::with(LABEL, &"[".repeat(100_000), "[]").end(), "bad metadata"),
        ("list that is none", Tar::with(LABEL, METADATA, "{}").end(), "`metwork_plugin/.files.json`"),
    ]);
}
