from .analysis.compare import compare as compare
from .cxi.write import save as save
from .dialects.detect import open as open
from .dialects.exports import to_ptychi as to_ptychi
from .dialects.exports import to_tike as to_tike
from .engine.algorithms.algorithm import Algorithm as Algorithm
from .engine.model.refinement import Refinement as Refinement
from .preparation.pipeline import prepare as prepare
from .reconstruction.auto import choose as choose
from .reconstruction.half_scan_frc import half_scan_frc as half_scan_frc
from .reconstruction.iterate import iterate as iterate
from .reconstruction.iterate import reconstruct as reconstruct
from .scan import Result as Result
from .scan import Scan as Scan
from .simulation.experiment import simulate as simulate

__version__: str
