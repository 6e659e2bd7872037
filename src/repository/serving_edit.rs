//! Changes what `serving.toml` says of one model: from its text to its new text.
//!
//! The comments, the order and the form that a person gave the file stay. A change that has been made already changes nothing.

use std::collections::BTreeMap;

use toml_edit::{DocumentMut, Item, Table, Value};

use crate::{
    ids::{ModelName, Version},
    repository::{
        edit_error::EditError,
        error::Fault,
        serving_file::{SERVING_FILE, ServingFile},
        serving_spec::{Live, LoadWhich, ServingSpec, ShadowSpec, Target},
        toml_text::Keys,
    },
};

/// The label that ends when its version is promoted or rolled back.
const CANARY: &str = "canary";

/// A change to what is said of a model.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// Has a version loaded.
    Load(Version),
    /// Has a version not loaded.
    Unload(Version),
    /// Makes a version the live one; its share, its callers, its rejection, its being the shadow and its label `canary` end.
    Promote {
        /// The version.
        version: Version,
        /// The one to go back to; none: that which is named already.
        previous: Option<Version>,
    },
    /// Rejects a version; its share, its callers, its being the shadow and its label `canary` end.
    Rollback {
        /// The version.
        version: Version,
        /// Why; it is kept and shown.
        reason: String,
        /// The version that is live instead, where it is the live one; none: that which was live before, or `latest` where that is said.
        to: Option<Version>,
    },
    /// Gives shares of the users, in percent, in place of those that were given before.
    Split(BTreeMap<Target, f64>),
    /// Gives callers a version of their own, in place of those that were given before.
    Callers(BTreeMap<String, Target>),
    /// Has a version score live requests off the answer's path, or none.
    Shadow(Option<ShadowSpec>),
    /// Has a label name a version, or nothing.
    Label(String, Option<Version>),
}

/// The text after changes to one model, one after the other.
///
/// # Errors
/// [`EditError`].
pub fn edited(text: &str, model: &ModelName, edits: &[Edit]) -> Result<String, EditError> {
    let mut text = text.to_owned();
    let mut file = ServingFile::parse(&text).map_err(EditError::AtFault)?;
    for edit in edits {
        text = edited_once(&text, model, &file.of(model), edit)?;
        file = ServingFile::parse(&text).map_err(EditError::Unfit)?;
    }
    Ok(text)
}

fn edited_once(
    text: &str,
    model: &ModelName,
    spec: &ServingSpec,
    edit: &Edit,
) -> Result<String, EditError> {
    let unreadable = |wrong: String| {
        EditError::Unfit(vec![Fault::new(SERVING_FILE, wrong, "write [models.NAME] as a table")])
    };
    let mut document: DocumentMut =
        text.parse().map_err(|cause: toml_edit::TomlError| unreadable(cause.to_string()))?;
    let mut orphans = String::new();
    let mut all = Table::new();
    all.set_implicit(true);
    let models = document.entry("models").or_insert(Item::Table(all));
    let models = Keys::of(models, &mut orphans);
    let mut models = models.ok_or_else(|| unreadable("models is no table".to_owned()))?;
    let is_new = !models.names().iter().any(|name| name == model.as_str());
    let own = models.below(model.as_str(), true);
    let mut own = own.ok_or_else(|| unreadable(format!("models.{model} is no table")))?;
    own.change(model, spec, edit)?;
    if is_new && own.names().is_empty() {
        return Ok(text.to_owned());
    }
    if !orphans.is_empty() {
        let trailing = document.trailing().as_str().unwrap_or_default().to_owned();
        document.set_trailing(format!("{orphans}{trailing}"));
    }
    Ok(document.to_string())
}

impl Keys<'_> {
    fn change(
        &mut self,
        model: &ModelName,
        spec: &ServingSpec,
        edit: &Edit,
    ) -> Result<(), EditError> {
        match edit {
            Edit::Load(version) => {
                self.remove_from_list("unloaded", number(*version));
                if spec.load == LoadWhich::Live {
                    self.add_to_list("loaded", number(*version));
                }
            }
            Edit::Unload(version) => {
                self.add_to_list("unloaded", number(*version));
                self.remove_from_list("loaded", number(*version));
            }
            Edit::Promote { version, previous } => self.promote(spec, *version, *previous),
            Edit::Rollback { version, reason, to } => {
                self.roll_back(model, spec, (*version, reason), *to)?;
            }
            Edit::Split(shares) => {
                let entry =
                    |(target, share): (&Target, &f64)| (target.to_string(), percent(*share));
                self.set_map("split", &shares.iter().map(entry).collect::<Vec<_>>());
            }
            Edit::Callers(callers) => {
                let entry = |(caller, to): (&String, &Target)| (caller.clone(), target(to));
                self.set_map("callers", &callers.iter().map(entry).collect::<Vec<_>>());
            }
            Edit::Shadow(None) => self.remove("shadow"),
            Edit::Shadow(Some(shadow)) => {
                if let Some(mut own) = self.below("shadow", false) {
                    own.set("version", target(&shadow.version));
                    own.set("share", percent(shadow.share));
                }
            }
            Edit::Label(label, None) => self.remove_from_map("labels", std::slice::from_ref(label)),
            Edit::Label(label, Some(version)) => {
                if let Some(mut labels) = self.below("labels", false) {
                    labels.set(label, number(*version));
                }
            }
        }
        Ok(())
    }

    fn promote(&mut self, spec: &ServingSpec, version: Version, previous: Option<Version>) {
        self.set("live", number(version));
        match previous.filter(|previous| *previous != version) {
            Some(previous) => self.set("previous", number(previous)),
            None if spec.previous == Some(version.0) => self.remove("previous"),
            None => {}
        }
        self.remove_from_map("rejected", &[version.to_string()]);
        self.remove_from_list("unloaded", number(version));
        self.end_trial(spec, version);
    }

    fn roll_back(
        &mut self,
        model: &ModelName,
        spec: &ServingSpec,
        (version, reason): (Version, &str),
        to: Option<Version>,
    ) -> Result<(), EditError> {
        let is_live = spec.live == Live::Version(version.0);
        let previous = spec.previous.map(Version).filter(|previous| {
            *previous != version && spec.rejection(*previous).is_none() && is_live
        });
        let to = to.filter(|_| is_live || spec.live == Live::Latest).or(previous);
        match to {
            Some(to) => {
                self.set("live", number(to));
                self.remove("previous");
            }
            None if is_live => {
                return Err(EditError::NothingBefore { model: model.clone(), version });
            }
            None if spec.previous == Some(version.0) => self.remove("previous"),
            None => {}
        }
        if let Some(mut rejected) = self.below("rejected", true) {
            rejected.set(&version.to_string(), reason);
        }
        self.end_trial(spec, version);
        Ok(())
    }

    /// Ends what a version has beside being live or not.
    fn end_trial(&mut self, spec: &ServingSpec, version: Version) {
        let names = |target: &Target| spec.version_of(target) == Some(version);
        let shares = spec.split.keys().filter(|target| names(target)).map(ToString::to_string);
        self.remove_from_map("split", &shares.collect::<Vec<_>>());
        let callers = spec.callers.iter().filter(|(_, target)| names(target));
        let callers: Vec<String> = callers.map(|(caller, _)| caller.clone()).collect();
        self.remove_from_map("callers", &callers);
        if spec.shadow.as_ref().is_some_and(|shadow| names(&shadow.version)) {
            self.remove("shadow");
        }
        if spec.labels.get(CANARY) == Some(&version.0) {
            self.remove_from_map("labels", &[CANARY.to_owned()]);
        }
    }
}

/// A version as TOML has numbers; one that is larger than those is refused when the text is read again.
fn number(version: Version) -> i64 {
    i64::try_from(version.0).unwrap_or(-1)
}

fn target(target: &Target) -> Value {
    match target {
        Target::Version(version) => number(*version).into(),
        Target::Label(label) => label.into(),
    }
}

/// A share, without a point where it needs none.
fn percent(share: f64) -> Value {
    match share.fract() == 0.0 && share.abs() < 1e6 {
        true => (share as i64).into(),
        false => share.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> ModelName {
        ModelName::parse("shop").unwrap()
    }

    #[track_caller]
    fn check(before: &str, edits: &[Edit], after: &str) {
        let got = edited(before, &shop(), edits).unwrap();
        assert_eq!(got, after, "\n{got}");
        assert_eq!(edited(&got, &shop(), edits).unwrap(), after, "the second time");
    }

    #[track_caller]
    fn check_refused(before: &str, edit: Edit, words: &str) {
        let error = edited(before, &shop(), &[edit]).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }

    fn promote(version: u64, previous: Option<u64>) -> [Edit; 1] {
        [Edit::Promote { version: Version(version), previous: previous.map(Version) }]
    }

    fn roll_back(version: u64, to: Option<u64>) -> [Edit; 1] {
        let (version, to) = (Version(version), to.map(Version));
        [Edit::Rollback { version, reason: "it was \"worse\"".to_owned(), to }]
    }

    fn split(shares: &[(&str, f64)]) -> [Edit; 1] {
        let shares = shares.iter().map(|(target, share)| (Target::parse(target), *share));
        [Edit::Split(shares.collect())]
    }

    const BY_HAND: &str = r#"# What serves in the shop.

[models.other]
live   =   7     # odd, and none of our business

# The ranker of the first page.
[models.shop]
# Three has stood since May.
live = 3  # do not touch on Fridays
labels = { stable = 2, canary = 4 }   # two of them
# A tenth for the new one.
split = { canary = 10, 5 = 2.5 }
load = "live"

[models.shop.callers]
batch = 4      # nightly
tests = 2

[models.z]
"#;

    #[test]
    fn what_a_person_wrote_stays() {
        let promoted = BY_HAND
            .replace("live = 3  #", "live = 4  #")
            .replace("{ stable = 2, canary = 4 }", "{ stable = 2 }")
            .replace("{ canary = 10, 5 = 2.5 }", "{ 5 = 2.5 }")
            .replace("load = \"live\"\n", "load = \"live\"\nprevious = 3\n")
            .replace("batch = 4      # nightly\ntests", "# nightly\ntests");
        check(BY_HAND, &promote(4, Some(3)), &promoted);
        let back =
            promoted.replace("live = 4  #", "live = 3  #").replace("previous = 3\n", "").replace(
                "tests = 2\n",
                "tests = 2\n\n[models.shop.rejected]\n4 = 'it was \"worse\"'\n",
            );
        check(&promoted, &roll_back(4, None), &back);
        let none = BY_HAND.replace(
            "# A tenth for the new one.\nsplit = { canary = 10, 5 = 2.5 }\nload",
            "# A tenth for the new one.\nload",
        );
        check(BY_HAND, &split(&[]), &none);
    }

    #[test]
    fn a_file_begins_with_what_is_asked_for() {
        check("", &promote(4, None), "[models.shop]\nlive = 4\n");
        check(
            "",
            &split(&[("canary", 10.0), ("5", 2.5)]),
            "[models.shop]\nsplit = { 5 = 2.5, canary = 10 }\n",
        );
        check("", &split(&[]), "");
        let text = "[models.a]\nlive = 1\n";
        check(
            text,
            &promote(4, Some(3)),
            "[models.a]\nlive = 1\n\n[models.shop]\nlive = 4\nprevious = 3\n",
        );
        check(
            "",
            &roll_back(4, None),
            "[models.shop]\n\n[models.shop.rejected]\n4 = 'it was \"worse\"'\n",
        );
    }

    #[test]
    fn other_forms_of_tables_are_changed_too() {
        check(
            "models.shop.live = 3 # x\n",
            &promote(4, Some(3)),
            "models.shop.live = 4 # x\nmodels.shop.previous = 3\n",
        );
        check(
            "models = { shop = { live = 3 } }\n",
            &promote(4, Some(3)),
            "models = { shop = { live = 4, previous = 3 } }\n",
        );
        check(
            "[models]\nshop = { live = 3 }\n",
            &roll_back(3, Some(2)),
            "[models]\nshop = { live = 2, rejected = { 3 = 'it was \"worse\"' } }\n",
        );
        check("[models]\n", &promote(4, None), "[models]\n\n[models.shop]\nlive = 4\n");
        check("models = {}\n", &promote(4, None), "models = { shop = { live = 4 } }\n");
        check(
            "[models.shop]\nlabels.canary = 4 # c\nlive = 3\n",
            &promote(4, None),
            "[models.shop]\nlive = 4\n# c\n",
        );
    }

    #[test]
    fn a_promotion_ends_the_trial() {
        let before = "[models.shop]\nrejected = { 4 = \"slow\", 2 = \"x\" }\nshadow = { version = \"canary\" }\nlabels = { canary = 4, new = 4 }\nsplit = { new = 5 }\ncallers = { a = 4, b = 3 }\nunloaded = [4, 1]\nprevious = 4\n";
        let after = "[models.shop]\nrejected = { 2 = \"x\" }\nlabels = { new = 4 }\ncallers = { b = 3 }\nunloaded = [1]\nlive = 4\n";
        check(before, &promote(4, None), after);
        check(
            "[models.shop]\nlive = 4\nprevious = 2\n",
            &promote(4, Some(4)),
            "[models.shop]\nlive = 4\nprevious = 2\n",
        );
    }

    #[test]
    fn a_rollback_goes_back_to_what_was_live() {
        let back = |head: &str| {
            format!("[models.shop]\n{head}\n[models.shop.rejected]\n5 = 'it was \"worse\"'\n")
        };
        check("[models.shop]\nlive = 5\nprevious = 4\n", &roll_back(5, None), &back("live = 4\n"));
        check(
            "[models.shop]\nlive = 5\nprevious = 4\n",
            &roll_back(5, Some(3)),
            &back("live = 3\n"),
        );
        check(
            "[models.shop]\nlive = \"latest\"\n",
            &roll_back(5, None),
            &back("live = \"latest\"\n"),
        );
        check("[models.shop]\nlive = \"latest\"\n", &roll_back(5, Some(3)), &back("live = 3\n"));
        check(
            "[models.shop]\nlive = 4\nsplit = { 5 = 10 }\n",
            &roll_back(5, Some(3)),
            &back("live = 4\n"),
        );
        check("[models.shop]\nlive = 6\nprevious = 5\n", &roll_back(5, None), &back("live = 6\n"));
        check_refused(
            "[models.shop]\nlive = 5\n",
            roll_back(5, None)[0].clone(),
            "promote another",
        );
        let rejected = "[models.shop]\nlive = 5\nprevious = 4\nrejected = { 4 = \"x\" }\n";
        check_refused(rejected, roll_back(5, None)[0].clone(), "promote another");
    }

    #[test]
    fn versions_are_loaded_and_unloaded_by_their_lists() {
        let load = |version| [Edit::Load(Version(version))];
        let unload = |version| [Edit::Unload(Version(version))];
        check("", &load(3), "");
        check("", &unload(3), "[models.shop]\nunloaded = [3]\n");
        check("[models.shop]\nunloaded = [3]\n", &load(3), "[models.shop]\n");
        check("[models.shop]\nunloaded = [3, 4]\n", &load(3), "[models.shop]\nunloaded = [4]\n");
        check(
            "[models.shop]\nload = \"live\"\n",
            &load(3),
            "[models.shop]\nload = \"live\"\nloaded = [3]\n",
        );
        check(
            "[models.shop]\nload = \"live\"\nloaded = [ 1, 3 ] # x\n",
            &unload(3),
            "[models.shop]\nload = \"live\"\nloaded = [ 1 ] # x\nunloaded = [3]\n",
        );
        check("[models.shop]\nunloaded = [1]\n", &unload(3), "[models.shop]\nunloaded = [1, 3]\n");
    }

    #[test]
    fn traffic_is_replaced() {
        let before =
            "[models.shop]\nsplit = { canary = 10, 3 = 5 }  # careful\nlabels = { canary = 4 }\n";
        check(
            before,
            &split(&[("canary", 25.0)]),
            &before.replace("{ canary = 10, 3 = 5 }", "{ canary = 25 }"),
        );
        check(before, &split(&[("3", 5.0), ("canary", 10.0)]), before);
        check(before, &split(&[]), "[models.shop]\n# careful\nlabels = { canary = 4 }\n");
        let callers = BTreeMap::from([("a b".to_owned(), Target::Version(Version(3)))]);
        check(
            "[models.shop]\n",
            &[Edit::Callers(callers)],
            "[models.shop]\ncallers = { \"a b\" = 3 }\n",
        );
    }

    #[test]
    fn shadows_and_labels_come_and_go() {
        let shadow =
            |share| [Edit::Shadow(Some(ShadowSpec { version: Target::parse("new"), share }))];
        check(
            "[models.shop]\n",
            &shadow(20.0),
            "[models.shop]\nshadow = { version = \"new\", share = 20 }\n",
        );
        check(
            "[models.shop]\nshadow = { version = 3 }\n",
            &shadow(0.5),
            "[models.shop]\nshadow = { version = \"new\", share = 0.5 }\n",
        );
        check(
            "[models.shop]\nlive = 1\nshadow = { version = 3 }\n",
            &[Edit::Shadow(None)],
            "[models.shop]\nlive = 1\n",
        );
        let label = |version: Option<u64>| [Edit::Label("new".to_owned(), version.map(Version))];
        check("[models.shop]\n", &label(Some(3)), "[models.shop]\nlabels = { new = 3 }\n");
        check(
            "[models.shop]\nlabels = { new = 3, old = 1 }\n",
            &label(None),
            "[models.shop]\nlabels = { old = 1 }\n",
        );
    }

    #[test]
    fn a_comment_without_a_neighbour_goes_to_the_end() {
        let before = "[models.shop]\n# The twentieth.\nsplit = { 3 = 5 }\n";
        check(before, &split(&[]), "[models.shop]\n# The twentieth.\n");
    }

    #[test]
    fn what_is_at_fault_or_would_be_is_refused() {
        check_refused(
            "[models.shop]\nlife = 3\n",
            promote(4, None)[0].clone(),
            "only a person can mend",
        );
        check_refused("", promote(u64::MAX, None)[0].clone(), "by hand");
        check_refused("", Edit::Label("latest".to_owned(), Some(Version(1))), "reserved");
        check_refused("", split(&[("3", 60.0), ("4", 60.0)])[0].clone(), "more than 100");
    }
}
