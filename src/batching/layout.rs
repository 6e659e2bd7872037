//! How the tensors of several jobs lie in one batch.

/// What the entries of a tensor's first dimension are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lead {
    /// One for each user of the batch.
    Users,
    /// One for each candidate of the batch.
    Rows,
    /// Whatever they are, they belong to one job, whose tensors stay as they are; then all of the layout's do, and none shares a batch.
    Whole,
}

/// On which side an entry that is shorter than its neighbours is filled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PadSide {
    /// Behind its values.
    #[default]
    Right,
    /// Before its values, in the first dimension after the lead.
    Left,
}

/// How one input of several jobs becomes one of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputAxes {
    /// Its first dimension.
    pub lead: Lead,
    /// Where entries are filled up.
    pub side: PadSide,
    /// What they are filled up with.
    pub padding: i64,
    /// Whether its second dimension differs between jobs and is filled up to the longest.
    pub padded: bool,
    /// Whether its values say which user a row belongs to; they are moved by the users before.
    pub numbers_users: bool,
    /// Whether its values say what is no padding.
    pub mask: bool,
}

impl InputAxes {
    /// An input whose entries are all of one shape.
    pub fn of(lead: Lead) -> Self {
        Self {
            lead,
            side: PadSide::Right,
            padding: 0,
            padded: false,
            numbers_users: false,
            mask: false,
        }
    }
}

/// How one output of a batch is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputAxes {
    /// Its first dimension.
    pub lead: Lead,
    /// The input whose second dimension says how much of the output's second dimension is no padding.
    pub as_long_as: Option<usize>,
}

/// Which jobs may share a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joins {
    /// None: the graph knows one user a run.
    Alone,
    /// Those whose tensors differ in the first dimension alone.
    SameShape,
    /// All; shorter ones are padded.
    Padded,
}

/// How the tensors of several jobs lie in one batch, in the order of the graph's inputs and outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchLayout {
    /// What a batch is counted in: rows where candidates are independent, jobs where their tensors stay whole, else users.
    pub unit: Lead,
    /// The inputs.
    pub inputs: Vec<InputAxes>,
    /// The outputs.
    pub outputs: Vec<OutputAxes>,
    /// Which jobs may share a batch.
    pub joins: Joins,
}

impl BatchLayout {
    /// Whether one job may be cut over several batches.
    pub fn cuts(&self) -> bool {
        self.unit == Lead::Rows
    }
}
