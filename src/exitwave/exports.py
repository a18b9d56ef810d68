"""What a scan and a result give to other packages: the arrays that these take, documented in one place."""

from typing import Any

from numpy.typing import NDArray


class Exports:
    """Methods of `exitwave.scan.Scan` and `exitwave.scan.Result`.

    The arrays are of NumPy and in memory; ``torch.from_dlpack`` and ``cupy.from_dlpack`` take them as they are. Frames
    that are left out are not among them; the dark frame is subtracted; pixels without a measurement are 0. A result
    gives its object, probe and positions, a scan an object of ones, its starting probe and its positions.
    """

    def to_tike(self: Any) -> "dict[str, NDArray[Any]]":
        """Return the arrays of ``tike.ptycho``, tike 0.26.

        Returns
        -------
        dict of str to ndarray
            ``data`` (n, ny, nx) float32, counts with zero frequency at [0, 0]; ``scan`` (n, 2) float32, row and column
            of the probe's first pixel in ``psi``; ``probe`` (1, 1, modes, ny, nx) complex64, in square roots of counts
            under a unitary FFT, which is tike's; ``psi`` (slices, rows, columns) complex64, row 0 at the smallest y;
            ``measured_pixels`` (ny, nx) bool, True where a pixel is good, zero frequency at [0, 0].

        Raises
        ------
        InputError
            If the frames are not square, which tike wants, or there is no probe.

        Examples
        --------
        >>> arrays = scan.to_tike()  # doctest: +SKIP
        >>> data, good = arrays.pop("data"), arrays.pop("measured_pixels")  # doctest: +SKIP
        >>> parameters = tike.ptycho.PtychoParameters(
        ...     **arrays, exitwave_options=tike.ptycho.ExitWaveOptions(measured_pixels=good)
        ... )  # doctest: +SKIP
        >>> result = tike.ptycho.reconstruct(data, parameters)  # doctest: +SKIP
        """
        from exitwave.dialects.exports import tike_arrays

        return tike_arrays(self)

    def to_ptychi(self: Any) -> "dict[str, NDArray[Any]]":
        """Return the arrays of ``ptychi.api.task.PtychographyTask``, pty-chi 2.2.

        Returns
        -------
        dict of str to ndarray
            ``diffraction_data`` (n, ny, nx) float32, counts with zero frequency at n - n//2, whence pty-chi's fftshift
            brings it to 0; ``object_data`` (slices, rows, columns) complex64, row 0 at the smallest y; ``probe_data``
            (1, modes, ny, nx) complex64, for pty-chi's FFT, which is not normalised; ``probe_position_x_px`` and
            ``probe_position_y_px`` (n,) float32, object pixels from the object's middle, which pty-chi finds by
            default (``SUPPORT``); ``valid_pixel_mask`` (ny, nx) bool, True where a pixel is good, as the frames.

        Raises
        ------
        InputError
            If there is no probe.

        Examples
        --------
        >>> options = ptychi.api.RPIEOptions()  # doctest: +SKIP
        >>> options.object_options.pixel_size_m = scan.object_pixel[0]  # doctest: +SKIP
        >>> options.data_options.wavelength_m = scan.wavelength  # doctest: +SKIP
        >>> task = ptychi.api.task.PtychographyTask(options, **scan.to_ptychi())  # doctest: +SKIP
        """
        from exitwave.dialects.exports import ptychi_arrays

        return ptychi_arrays(self)
