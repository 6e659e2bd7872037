//! Graphs that were kept in their optimised form: every bundle answers the same bits as one that was optimised just now.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use podium::{
    repository::Bundle,
    runtime::{GraphCacheOptions, ModelInstance, PackedInputs, Runtime},
};

use crate::{
    fixture::{open, shipped},
    packed::{bits, bundles, named, requests, runtime_with},
};

fn runtime(folder: Option<&Path>, packed_inputs: PackedInputs) -> Runtime {
    runtime_with(|options| {
        options.packed_inputs = packed_inputs;
        options.graph_cache = folder
            .map(|folder| GraphCacheOptions { folder: folder.join("graphs"), most_bytes: 1 << 30 });
    })
}

fn instance(runtime: &Runtime, bundle: &Bundle) -> Box<dyn ModelInstance> {
    runtime.instance(&bundle.graph, &bundle.manifest.output_names()).unwrap()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.join("graphs")).into_iter().flatten();
    files.map(|file| file.unwrap().path()).collect()
}

/// Makes every entry look as if it had not been used for a day.
fn age(folder: &Path) {
    for entry in entries(folder) {
        let yesterday = SystemTime::now() - Duration::from_secs(86_400);
        fs::File::open(entry).unwrap().set_modified(yesterday).unwrap();
    }
}

/// How many entries were used since.
fn used(folder: &Path) -> usize {
    let is_new = |path: &PathBuf| {
        let modified = fs::metadata(path).unwrap().modified().unwrap();
        modified.elapsed().unwrap_or_default() < Duration::from_secs(43_200)
    };
    entries(folder).iter().filter(|path| is_new(path)).count()
}

#[track_caller]
fn same_answers(bundle: &Bundle, one: &mut dyn ModelInstance, other: &mut dyn ModelInstance) {
    assert_eq!(one.signature(), other.signature());
    for tensors in requests(bundle) {
        let named = named(bundle, &tensors);
        let [want, got] = [one.run(&named).unwrap(), other.run(&named).unwrap()];
        assert_eq!(bits(&want), bits(&got), "{}", bundle.path.display());
    }
}

fn check(packed_inputs: PackedInputs, sessions_of: impl Fn(&dyn ModelInstance) -> usize) {
    for path in bundles() {
        let folder = tempfile::tempdir().unwrap();
        let bundle = open(&path);
        let mut fresh = instance(&runtime(None, packed_inputs), &bundle);
        let kept = runtime(Some(folder.path()), packed_inputs);
        let mut first = instance(&kept, &bundle);
        let sessions = sessions_of(first.as_ref());
        assert_eq!(entries(folder.path()).len(), sessions, "{}", path.display());
        age(folder.path());
        let mut second = instance(&kept, &bundle);
        assert_eq!(used(folder.path()), sessions, "{} was not found", path.display());
        same_answers(&bundle, fresh.as_mut(), first.as_mut());
        same_answers(&bundle, fresh.as_mut(), second.as_mut());
    }
}

#[test]
fn every_bundle_answers_the_same_bits() {
    check(PackedInputs::Off, |_| 1);
}

#[test]
fn so_do_those_whose_inputs_are_packed() {
    check(PackedInputs::On, |instance| if instance.input_blocks().is_some() { 2 } else { 1 });
}

#[test]
fn an_entry_that_is_damaged_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = open(&shipped("grocery-ranker/1"));
    let mut fresh = instance(&runtime(None, PackedInputs::Off), &bundle);
    let kept = runtime(Some(folder.path()), PackedInputs::Off);
    drop(instance(&kept, &bundle));
    let entry = entries(folder.path()).pop().unwrap();
    let right = fs::read(&entry).unwrap();
    let mut wrong = right.clone();
    // Somewhere in the weights, where ONNX Runtime would notice nothing.
    wrong[right.len() / 2] ^= 0x40;
    for damaged in [&wrong[..], &right[..right.len() / 2], &[]] {
        fs::write(&entry, damaged).unwrap();
        same_answers(&bundle, fresh.as_mut(), instance(&kept, &bundle).as_mut());
        let entries = entries(folder.path());
        assert_eq!(entries.len(), 1);
        assert!(fs::read(&entries[0]).unwrap() != damaged, "it was not made anew");
        fs::rename(&entries[0], &entry).unwrap();
    }
}

#[test]
fn where_nothing_can_be_kept_loads_go_on() {
    let folder = tempfile::tempdir().unwrap();
    // A file where the folder should be: nothing can be written, whoever the tests run as.
    fs::write(folder.path().join("graphs"), "").unwrap();
    let bundle = open(&shipped("grocery-ranker/1"));
    let mut fresh = instance(&runtime(None, PackedInputs::Off), &bundle);
    let kept = runtime(Some(folder.path()), PackedInputs::Off);
    same_answers(&bundle, fresh.as_mut(), instance(&kept, &bundle).as_mut());
}

#[test]
fn a_place_that_fills_up_while_it_is_written_fails_no_load() {
    // A device that takes no byte: what writes to it is told that the disk is full.
    let folder = tempfile::tempdir().unwrap();
    let bundle = open(&shipped("grocery-ranker/1"));
    let kept = runtime(Some(folder.path()), PackedInputs::Off);
    drop(instance(&kept, &bundle));
    let entry = entries(folder.path()).pop().unwrap();
    let key = entry.file_name().unwrap().to_str().unwrap().split('.').next().unwrap().to_owned();
    fs::remove_file(&entry).unwrap();
    for number in 0..50 {
        let place = format!("{key}.{}-{number}.tmp", std::process::id());
        let place = folder.path().join("graphs").join(place);
        std::os::unix::fs::symlink("/dev/full", place).unwrap();
    }
    let mut fresh = instance(&runtime(None, PackedInputs::Off), &bundle);
    same_answers(&bundle, fresh.as_mut(), instance(&kept, &bundle).as_mut());
    assert!(entries(folder.path()).iter().all(|path| path.extension().unwrap() == "tmp"));
}
