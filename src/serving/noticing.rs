//! An instance that notices runs which find no memory.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    runtime::{InputBlocks, ModelInstance, RuntimeError, Signature, Stop, lacks_memory},
    tensor::Tensor,
};

/// An instance whose runs are noticed that find no memory, whoever passes over their errors.
pub(super) struct Noticing {
    inner: Box<dyn ModelInstance>,
    found_none: Arc<AtomicBool>,
}

impl Noticing {
    pub(super) fn new(inner: Box<dyn ModelInstance>, found_none: &Arc<AtomicBool>) -> Self {
        Self { inner, found_none: Arc::clone(found_none) }
    }

    fn noticed(&self, ran: Result<(), RuntimeError>) -> Result<(), RuntimeError> {
        if let Err(error) = &ran
            && lacks_memory(&error.to_string())
        {
            self.found_none.store(true, Ordering::Relaxed);
        }
        ran
    }
}

impl ModelInstance for Noticing {
    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn stopper(&self) -> Option<Arc<dyn Stop>> {
        self.inner.stopper()
    }

    fn run_into(
        &mut self,
        inputs: &[(&str, &Tensor)],
        outputs: &mut Vec<Tensor>,
    ) -> Result<(), RuntimeError> {
        let ran = self.inner.run_into(inputs, outputs);
        self.noticed(ran)
    }

    fn input_blocks(&self) -> Option<InputBlocks> {
        self.inner.input_blocks()
    }

    fn run_blocks(
        &mut self,
        blocks: &mut InputBlocks,
        inputs: &[(&str, &Tensor)],
        outputs: &mut Vec<Tensor>,
    ) -> Result<(), RuntimeError> {
        let ran = self.inner.run_blocks(blocks, inputs, outputs);
        self.noticed(ran)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails with these words.
    struct Failing(Signature, &'static str);

    impl ModelInstance for Failing {
        fn signature(&self) -> &Signature {
            &self.0
        }

        fn run_into(
            &mut self,
            _: &[(&str, &Tensor)],
            _: &mut Vec<Tensor>,
        ) -> Result<(), RuntimeError> {
            Err(RuntimeError::Run(self.1.to_owned()))
        }
    }

    #[track_caller]
    fn check(words: &'static str, want: bool) {
        let found_none = Arc::default();
        let failing = Box::new(Failing(Signature::default(), words));
        let ran = Noticing::new(failing, &found_none).run(&[]);
        assert!(ran.is_err());
        assert_eq!(found_none.load(Ordering::Relaxed), want, "{words}");
    }

    #[test]
    fn want_of_memory_is_told_from_other_errors() {
        check(
            "Non-zero status code: Failed to allocate memory for requested buffer of size 4294967296",
            true,
        );
        check("std::bad_alloc", true);
        check("Got invalid dimensions for input: price", false);
    }
}
