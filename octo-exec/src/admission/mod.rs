//! May this job run? Whose it is, what the trust file says, who approved it.

pub(crate) mod admit;
pub(crate) mod approval;
pub(crate) mod unstarted;
