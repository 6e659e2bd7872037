//! Bundles in a directory or an object store: found, brought here, read, and checked against their own sums and graphs.

mod batching_spec;
mod bucket;
mod bundle;
mod contents;
mod directory;
mod edit_error;
mod error;
mod golden;
mod manifest;
mod model_config;
mod place;
mod place_options;
mod plain;
mod plain_place;
mod scan;
mod serving_change;
mod serving_edit;
mod serving_file;
mod serving_spec;
mod serving_text;
mod stamp;
mod tables;
mod template;
mod text_format;
mod toml_text;
mod verify;
mod verify_texts;

pub use batching_spec::BatchingSpec;
pub use bundle::{Bundle, CatalogueFile, read_manifest};
pub use edit_error::EditError;
pub use error::{Fault, RepositoryError};
pub use golden::{GoldenInputs, GoldenResult, golden_inputs, run_golden};
pub use manifest::{
    Activation, CatalogueSpec, ColumnType, DimSpec, EncoderRef, EventField, FileRef, HistorySpec,
    InputSpec, Layout, Manifest, OutputSpec, Pad, ROWS, Role, Sharing, Source, TextSpec, TokenPart,
    UnknownItems, UserItemStat, VocabularySpec,
};
pub use place::Place;
pub use place_options::PlaceOptions;
pub use plain_place::is_plain_model;
pub use scan::Found;
pub use serving_change::{change, read_serving};
pub use serving_edit::{Edit, edited};
pub use serving_file::{SERVING_FILE, ServingFile};
pub use serving_spec::{
    GuardRails, Live, LoadWhich, ServingSpec, ShadowSpec, Target, VersionLimits,
};
pub use serving_text::{Revision, ServingText};
pub use stamp::Stamp;
pub use tables::{HISTORY_COLUMNS, open_text, read_lines, read_table};
pub use template::{Piece, QUERY};
pub use verify::verify;
