//! Files of other programs: those that describe one file are read, those that contradict themselves are refused.

use sha1::{Digest as _, Sha1};

use super::{GOOD_INFO, file};
use crate::filename::NameError;
use crate::geometry::{Geometry, GeometryError};
use crate::metainfo::keys::wrong_type;
use crate::metainfo::{Metainfo, MetainfoError};

const LENGTH: &str = "6:lengthi5e";
const NAME: &str = "4:name5:a.bin";
const REST: &str = "12:piece lengthi16384e6:pieces20:01234567890123456789";

fn parse(info: &str) -> Result<Metainfo, MetainfoError> {
    parse_bytes(info.as_bytes())
}

/// Reads an info dictionary of these entries, and checks that its hash covers the original bytes.
fn parse_bytes(info: &[u8]) -> Result<Metainfo, MetainfoError> {
    let dictionary = [b"d", info, b"e"].concat();
    let bytes = [b"d4:info", dictionary.as_slice(), b"e"].concat();
    Metainfo::parse(&bytes).inspect(|metainfo| {
        let expected: [u8; 20] = Sha1::digest(&dictionary).into();
        assert_eq!(metainfo.info_hash().0, expected);
        assert_eq!(metainfo.to_bytes(), bytes);
    })
}

#[test]
fn keys_in_any_order() {
    let sorted = parse(GOOD_INFO).unwrap();
    let unsorted = parse(&format!("{REST}7:privatei1e{NAME}{LENGTH}")).unwrap();
    assert_ne!(unsorted.info_hash(), sorted.info_hash(), "the hash is over the bytes as they are");
    for (name, metainfo) in [("sorted", &sorted), ("unsorted", &unsorted)] {
        assert_eq!((metainfo.name(), metainfo.geometry().length()), ("a.bin", 5), "{name}");
        assert_eq!(&metainfo.chunk_hash(metainfo.geometry().chunk(0).unwrap()).0, b"01234567890123456789");
    }
    let root = format!("d4:zzzzi1e17:mtorrent trackersl6:host:1e4:infod{GOOD_INFO}e8:announce1:xe");
    let read = Metainfo::parse(root.as_bytes()).unwrap();
    assert_eq!((read.info_hash(), read.trackers()), (sorted.info_hash(), &["host:1".to_owned()][..]));
    let changed = read.with_trackers(vec!["other:1".into()]).unwrap();
    let root = format!("d8:announce1:x4:infod{GOOD_INFO}e17:mtorrent trackersl7:other:1e4:zzzzi1ee");
    assert_eq!(changed.to_bytes(), root.as_bytes());
}

#[test]
fn the_same_key_twice_is_refused() {
    for info in [
        format!("{GOOD_INFO}{NAME}"),
        format!("{LENGTH}{LENGTH}{NAME}{REST}"),
        format!("1:xd1:ai1e1:bi1e1:ai1ee{GOOD_INFO}"),
    ] {
        assert!(parse(&info).unwrap_err().to_string().contains("the same key twice"), "{info}");
    }
    let twice = format!("d4:infod{GOOD_INFO}e4:infod{GOOD_INFO}ee");
    assert!(Metainfo::parse(twice.as_bytes()).is_err());
}

#[test]
fn bytes_behind_the_end() {
    let bare = file("", GOOD_INFO, "");
    for behind in [&b"\n"[..], b"\r\n", b"\0", b"garbage", b"de", &[0; 4096], &bare] {
        let bytes = [&bare, behind].concat();
        let read = Metainfo::parse(&bytes).unwrap();
        assert_eq!(read.info_hash(), Metainfo::parse(&bare).unwrap().info_hash());
        assert_eq!(read.to_bytes(), bytes);
        assert_eq!(read.with_trackers(Vec::new()).unwrap().to_bytes(), bare);
    }
}

#[test]
fn pieces_of_any_length() {
    for chunk_size in [16384, 16385, 20000, 49152, 1_000_000, 1 << 25, 1 << 28] {
        let read = parse(&GOOD_INFO.replace("16384", &chunk_size.to_string())).unwrap();
        assert_eq!(read.geometry(), Geometry::new(5, chunk_size).unwrap());
    }
    for chunk_size in [0u64, 1, 16383, (1 << 28) + 1, 1 << 32, 1 << 63] {
        let refused = parse(&GOOD_INFO.replace("16384", &chunk_size.to_string())).unwrap_err();
        assert_eq!(refused, MetainfoError::Geometry(GeometryError::ChunkSize(chunk_size)));
    }
}

#[test]
fn names() {
    let long = "n".repeat(300);
    let cut = &long[..255];
    let utf8 = |name: &str| format!("10:name.utf-8{}:{name}", name.len());
    let (in_utf8, slash_in_utf8) = (utf8("ä"), utf8("b/c"));
    // The name, further entries, and the expected results: the name displayed, the name sent to others, and the name
    // error.
    for (name, more, written, shown, error) in [
        (&b"a.bin"[..], "", "a.bin", "a.bin", None),
        (b"a.bin", &in_utf8, "ä", "ä", None),
        (b"\xe4", &in_utf8, "ä", "ä", None),
        (b"a/b", &in_utf8, "ä", "ä", None),
        (b"a.bin", &slash_in_utf8, "a.bin", "a.bin", None),
        (b"a.bin", "10:name.utf-8i1e", "a.bin", "a.bin", None),
        (b"\xe4", "", "\u{fffd}", "\u{fffd}", Some(NameError::NotUtf8)),
        (b"\xe4", &slash_in_utf8, "\u{fffd}", "\u{fffd}", Some(NameError::NotUtf8)),
        (b"../a", "", "../a", ".._a", Some(NameError::Separator)),
        (b"/etc/passwd", "", "/etc/passwd", "_etc_passwd", Some(NameError::Separator)),
        (b"a\0", "", "a\0", "a_", Some(NameError::Separator)),
        (b"", "", "", "_", Some(NameError::Empty)),
        (b".", "", ".", "_", Some(NameError::Dots)),
        (b"..", "", "..", "__", Some(NameError::Dots)),
        (long.as_bytes(), "", &long, cut, Some(NameError::TooLong(300))),
    ] {
        let name = [format!("4:name{}:", name.len()).as_bytes(), name].concat();
        let info = [LENGTH.as_bytes(), &name, more.as_bytes(), REST.as_bytes()].concat();
        let read = parse_bytes(&info).unwrap();
        let found = (read.written_name(), read.name(), read.file_name());
        assert_eq!(found, (written, shown, error.map_or(Ok(shown), Err)), "{}", info.escape_ascii());
    }
    assert_eq!(parse(&format!("{LENGTH}{in_utf8}{REST}")).unwrap().name(), "ä");
    assert_eq!(parse(&format!("{LENGTH}4:namei1e{REST}")).err(), Some(wrong_type("name", "a string")));
    assert_eq!(parse(&format!("{LENGTH}{REST}")).err(), Some(MetainfoError::Missing("name")));
}

#[test]
fn a_list_of_one_file() {
    let info = |files: &str| format!("5:files{files}4:name6:folder{REST}");
    let named = |files: &str, name: &str| {
        let read = parse(&info(files)).unwrap();
        assert_eq!((read.file_name(), read.geometry().length()), (Ok(name), 5), "{files}");
    };
    named("ld6:lengthi5e4:pathl5:a.bineee", "a.bin");
    named("ld4:attr1:x6:lengthi5e4:pathl5:a.bine6:md5sum0:ee", "a.bin");
    named("ld6:lengthi5e4:pathl1:/e10:path.utf-8l5:a.bineee", "a.bin");
    let deep = parse(&info("ld6:lengthi5e4:pathl3:foo3:bareee")).unwrap();
    assert_eq!((deep.written_name(), deep.name()), ("foo/bar", "foo_bar"));
    for path in ["l3:foo3:bare", "l2:..1:ae", "l1:/e", "l3:a/be", "le", "l0:e", "l2:..e"] {
        let read = parse(&info(&format!("ld6:lengthi5e4:path{path}ee"))).unwrap();
        assert!(read.file_name().is_err(), "{path}");
    }
    let list = wrong_type("files", "a list of files");
    let names = wrong_type("path", "a list of names");
    let number = wrong_type("length", "a number of bytes");
    for (files, expected) in [
        ("le", MetainfoError::Directory),
        ("ld6:lengthi5e4:pathl1:aeed6:lengthi5e4:pathl1:beee", MetainfoError::Directory),
        ("i1e", list.clone()),
        ("li1ee", list),
        ("ld6:lengthi5eee", MetainfoError::Missing("path")),
        ("ld4:pathl1:aeee", MetainfoError::Missing("length")),
        ("ld6:lengthi-5e4:pathl1:aeee", number),
        ("ld6:lengthi5e4:path1:aee", names.clone()),
        ("ld6:lengthi5e4:pathli1eeee", names),
        ("ld6:lengthi0e4:pathl1:aeee", MetainfoError::Pieces { bytes: 20, chunk_count: 0 }),
        ("ld6:lengthi16385e4:pathl1:aeee", MetainfoError::Pieces { bytes: 20, chunk_count: 2 }),
        ("ld4:attr1:l6:lengthi5e4:pathl1:aeee", MetainfoError::NotAFile("symbolic link")),
        ("ld4:attr1:p6:lengthi5e4:pathl1:aeee", MetainfoError::NotAFile("padding")),
    ] {
        assert_eq!(parse(&info(files)).err(), Some(expected), "{files}");
    }
    let one = "ld6:lengthi5e4:pathl1:aeee";
    assert_eq!(parse(&format!("{LENGTH}{}", info(one))).unwrap().name(), "a");
    let two = parse(&format!("6:lengthi6e{}", info(one))).err();
    assert_eq!(two, Some(MetainfoError::TwoLengths(6, 5)));
}

#[test]
fn the_version_two_part_of_a_hybrid_agrees() {
    let hybrid = |more: &str| parse(&format!("{more}{GOOD_INFO}"));
    let tree = |leaf: &str| format!("9:file treed5:a.bind0:d{leaf}eee12:meta versioni2e");
    let root = format!("11:pieces root32:{}", "r".repeat(32));
    for more in ["12:meta versioni1e", &tree(LENGTH), &tree(&format!("{LENGTH}{root}"))] {
        assert_eq!(hybrid(more).unwrap().name(), "a.bin", "{more}");
    }
    for (more, words) in [
        (tree("6:lengthi6e"), "another length"),
        (tree("6:lengthi-5e"), "another length"),
        (tree(""), "another length"),
        (tree(&format!("{LENGTH}11:pieces root31:{}", "r".repeat(31))), "do not belong together"),
        (tree(&format!("{LENGTH}11:pieces rooti1e")), "do not belong together"),
        (tree(LENGTH).replace("5:a.bin", "5:b.bin"), "other files"),
        (tree(LENGTH).replace("eee12", "e1:xd0:d6:lengthi5eeeee12"), "other files"),
        ("9:file treede12:meta versioni2e".into(), "other files"),
        ("9:file treei1e12:meta versioni2e".into(), "other files"),
        ("12:meta versioni2e".into(), "has no \"file tree\""),
        (tree(LENGTH).replace("versioni2e", "versioni3e"), "unknown version"),
    ] {
        let error = hybrid(&more).expect_err(&more);
        assert!(matches!(error, MetainfoError::Hybrid(_)), "{error}");
        assert!(error.to_string().contains(words), "{error}: {more}");
    }
    let odd = parse(&format!("{}{}", tree(LENGTH), GOOD_INFO.replace("16384", "16385")));
    assert!(odd.unwrap_err().to_string().contains("power of two"));
    let listed = |path: &str| {
        parse(&format!(
            "9:file treed3:food3:bard0:d{LENGTH}eeee12:meta versioni2e5:filesld{LENGTH}4:path{path}ee4:name1:f{REST}"
        ))
    };
    assert_eq!(listed("l3:foo3:bare").unwrap().written_name(), "foo/bar");
    assert!(listed("l3:bare").is_err());
}

/// Three pieces of 32 KiB: the layer is their three hashes, and the fourth is that of an absent piece.
#[test]
fn the_hashes_of_a_hybrid_lead_to_its_root() {
    use sha2::Sha256;
    let pair = |one: [u8; 32], other: [u8; 32]| -> [u8; 32] { Sha256::digest([one, other].concat()).into() };
    let pieces = [[1; 32], [2; 32], [3; 32]];
    let root = pair(pair(pieces[0], pieces[1]), pair(pieces[2], pair([0; 32], [0; 32])));
    let with = |root: [u8; 32], key: [u8; 32], layer: &[u8]| {
        let mut bytes = b"d4:infod9:file treed1:ad0:d6:lengthi70000e11:pieces root32:".to_vec();
        bytes.extend(root);
        bytes.extend(b"eee6:lengthi70000e12:meta versioni2e4:name1:a12:piece lengthi32768e6:pieces60:");
        bytes.extend([7; 60]);
        bytes.extend(b"e12:piece layersd32:");
        bytes.extend(key);
        bytes.extend(format!("{}:", layer.len()).as_bytes());
        bytes.extend(layer);
        bytes.extend(b"ee");
        Metainfo::parse(&bytes).map(|read| read.geometry().chunk_count())
    };
    let layer = pieces.as_flattened();
    assert_eq!(with(root, root, layer), Ok(3));
    assert_eq!(with(root, [9; 32], layer), Ok(3), "what is absent contradicts nothing");
    for (root, layer) in
        [([9; 32], layer), (root, &layer[..64]), (root, &layer[..95]), (root, &[]), (root, &[layer, layer].concat())]
    {
        assert!(matches!(with(root, root, layer), Err(MetainfoError::Hybrid(_))));
    }
}
