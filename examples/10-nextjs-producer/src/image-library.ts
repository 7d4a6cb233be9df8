/** Stands for what is large, or runs on the worker's machine only: it must not be in the bundle of the website. */
export const shrink = (file: string, width: number) =>
  file.replace(/\.png$/, `-${width}-by-image-library.png`);
