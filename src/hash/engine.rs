//! The instruction sets used for hashing, and their detection.

/// An instruction set used for hashing. Each also includes the kernels of those before it, if the CPU supports them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    /// The `sha1` crate without special instructions, one chunk after the other: reference and fallback.
    Crate,
    /// The SHA instructions of x86-64, up to 4 chunks interleaved.
    ShaNi,
    /// 8 lanes of AVX2.
    Avx2,
    /// 16 lanes of AVX-512 F and BW.
    Avx512,
}

impl Engine {
    /// The engines that this CPU (and the kernel) supports, from the slowest to the fastest; never empty.
    pub fn available() -> Vec<Engine> {
        [Self::Crate, Self::ShaNi, Self::Avx2, Self::Avx512]
            .into_iter()
            .filter(|engine| engine.is_available())
            .collect()
    }

    /// The fastest engine that this CPU supports.
    pub fn detect() -> Engine {
        Self::available().pop().unwrap_or(Engine::Crate)
    }

    /// Whether this CPU supports the instructions.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn is_available(self) -> bool {
        match self {
            Self::Crate => true,
            Self::ShaNi => {
                is_x86_feature_detected!("sha")
                    && is_x86_feature_detected!("sse4.1")
                    && is_x86_feature_detected!("ssse3")
                    && is_x86_feature_detected!("sse2")
            }
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            Self::Avx512 => is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw"),
        }
    }

    /// Whether this CPU supports the instructions: other architectures have the crate only.
    #[cfg(not(target_arch = "x86_64"))]
    pub(super) fn is_available(self) -> bool {
        self == Self::Crate
    }
}
