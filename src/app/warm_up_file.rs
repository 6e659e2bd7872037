//! The requests that a bundle ships to be run through it before it answers.

use std::{fs, sync::Arc};

use crate::{
    ranking::RankRequest,
    repository::{Bundle, Fault},
    transport::{Limits, from_json, rank_request},
};

/// Most requests of one bundle.
const MOST_REQUESTS: usize = 1000;

/// Most bytes of the file.
const MOST_BYTES: u64 = 64 << 20;

/// A request with the number of its line, from 1.
pub type Numbered = (usize, Arc<RankRequest>);

/// Reads the warm-up requests of a bundle; none where it ships none.
///
/// # Errors
/// A [`Fault`] that names the first line that is no request within the limits.
pub fn load_warm_up(bundle: &Bundle, limits: &Limits) -> Result<Vec<Numbered>, Fault> {
    let Some(spec) = &bundle.manifest.warm_up else {
        return Ok(Vec::new());
    };
    let fix = "write a podium.v1.RankRequest in proto3's JSON mapping on each line";
    let fault = |wrong: String| Fault::new(&spec.file, wrong, fix);
    let path = bundle.file(&spec.file);
    let size = fs::metadata(&path).map_err(|e| fault(e.to_string()))?.len();
    if size > MOST_BYTES {
        let fix = "keep the most usual requests";
        let wrong = format!("has {size} bytes, and may have {MOST_BYTES}");
        return Err(Fault::new(&spec.file, wrong, fix));
    }
    let text = fs::read_to_string(&path).map_err(|e| fault(e.to_string()))?;
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let mut requests = Vec::new();
    for (line, number) in lines {
        let wrong = |why: String| fault(format!("line {number}: {why}"));
        if requests.len() == MOST_REQUESTS {
            let fix = "keep the most usual requests";
            let wrong = format!("line {number}: there are more than {MOST_REQUESTS} requests");
            return Err(Fault::new(&spec.file, wrong, fix));
        }
        let message = from_json(line).map_err(|e| wrong(e.to_string()))?;
        let request = rank_request(message, limits).map_err(|e| wrong(e.to_string()))?;
        requests.push((number, Arc::new(request)));
    }
    Ok(requests)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sha2::{Digest, Sha256};

    use super::*;

    fn bundle(folder: &Path, lines: &str) -> Bundle {
        let path = folder.join("m").join("1");
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("warm_up.jsonl"), lines).unwrap();
        let sum: String =
            Sha256::digest(lines.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let manifest = format!(
            "format = 1\nrole = \"ranker\"\n[warm_up]\nfile = \"warm_up.jsonl\"\n[files]\n\"warm_up.jsonl\" = \"{sum}\""
        );
        fs::write(path.join("model.toml"), manifest).unwrap();
        Bundle::open(&path).unwrap()
    }

    #[track_caller]
    fn check(lines: &str, want: Result<&[usize], &str>) {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { max_candidates: 3, ..Limits::default() };
        match (load_warm_up(&bundle(folder.path(), lines), &limits), want) {
            (Ok(got), Ok(want)) => {
                let numbers: Vec<usize> = got.iter().map(|(number, _)| *number).collect();
                assert_eq!(numbers, want);
            }
            (Err(fault), Err(want)) => {
                let told = fault.to_string();
                assert!(told.starts_with("warm_up.jsonl: ") && told.contains(want), "{told}");
            }
            (got, want) => panic!("{got:?} is not {want:?}"),
        }
    }

    #[test]
    fn a_bad_line_is_told_with_its_number() {
        let good = r#"{"candidates": {"ids": ["a"]}}"#;
        check("", Ok(&[]));
        check(&format!("{good}\n\n{good}\n"), Ok(&[1, 3]));
        check(&format!("{good}\n{{\"topk\": 1}}"), Err("line 2: "));
        check(&format!("{good}\nnonsense"), Err("line 2: "));
        check("{}", Err("line 1: candidates.ids: is empty"));
        let large = r#"{"candidates": {"ids": ["a", "b", "c", "d"]}}"#;
        check(&format!("\n{large}"), Err("line 2: candidates.ids"));
        let many = format!("{good}\n").repeat(MOST_REQUESTS + 1);
        check(&many, Err("line 1001: there are more than 1000"));
    }
}
