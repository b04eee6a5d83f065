// @ts-check
// What Cancel does while a cell waits for the image: few kernels hear a click before their cell ends.

/** @typedef {{ interrupt?: () => Promise<unknown> }} RunningKernel */

/**
 * The front end's manager of widgets. JupyterLab's and Notebook's has the kernel, nbclassic's has it behind its comms.
 * @typedef {{ kernel?: RunningKernel | null, comm_manager?: { kernel?: RunningKernel | null } }} Manager
 */

/**
 * What ends the work: a click that the kernel hears, the front end's interrupt, or only its own button.
 * @typedef {"click" | "interrupt" | "button"} Way
 */

/** How a job can be cancelled, as far as is known by now. */
export class Canceller {
  /** The kernel has answered: it hears messages while the cell waits. */
  isHeard = false;
  hasFailed = false;

  /** @param {Manager | undefined} manager */
  constructor(manager) {
    this.manager = manager;
  }

  /** @param {boolean} awaited whether a cell waits for the job @returns {Way} */
  way(awaited) {
    if (!awaited || this.isHeard) return "click";
    return this.kernel?.interrupt && !this.hasFailed ? "interrupt" : "button";
  }

  /** Asked for each time: a kernel may be another one after a reconnection. */
  get kernel() {
    return this.manager?.kernel ?? this.manager?.comm_manager?.kernel;
  }

  /** Do what the front end's own button does. Returns whether it could. */
  async interrupt() {
    try {
      await this.kernel?.interrupt?.();
      return true;
    } catch {
      this.hasFailed = true;
      return false;
    }
  }
}

const HEARD_MS = 1000; // a kernel that is free hears a click in a tenth of it

/**
 * What the button says.
 * @param {Way} way @param {boolean} asked whether it has been pressed @param {number} waited for how long (ms)
 */
export function cancelLabel(way, asked, waited) {
  if (way === "button") return "Interrupt: ■";
  if (!asked) return "Cancel";
  return waited < HEARD_MS ? "Cancelling…" : "Cancelling after the cell that runs…";
}
