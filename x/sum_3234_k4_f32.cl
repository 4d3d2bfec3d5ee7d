// kernel   sum_3234_k4_f32: i 3234, r 4
// params   out float32[3234] written, x0 float32[12936]
//          t0 = add over r (x0[i+r*3234])     {i}
//          out[i] = t0                        {i}
//
// grid     i by 464
// loop     r by 1
// vector   i
#pragma OPENCL FP_CONTRACT OFF
#define kf_for _Pragma("clang loop vectorize(disable) unroll(disable)") for
__attribute__((reqd_work_group_size(1, 1, 1)))
__kernel void sum_3234_k4_f32(__global float *restrict out, __global const float *restrict x0) {
  const int i0 = min((int)get_group_id(0) * 464, 2770);
  float16 acc0_0 = (float16)(0.0f);
  float16 acc0_16 = (float16)(0.0f);
  float16 acc0_32 = (float16)(0.0f);
  float16 acc0_48 = (float16)(0.0f);
  float16 acc0_64 = (float16)(0.0f);
  float16 acc0_80 = (float16)(0.0f);
  float16 acc0_96 = (float16)(0.0f);
  float16 acc0_112 = (float16)(0.0f);
  float16 acc0_128 = (float16)(0.0f);
  float16 acc0_144 = (float16)(0.0f);
  float16 acc0_160 = (float16)(0.0f);
  float16 acc0_176 = (float16)(0.0f);
  float16 acc0_192 = (float16)(0.0f);
  float16 acc0_208 = (float16)(0.0f);
  float16 acc0_224 = (float16)(0.0f);
  float16 acc0_240 = (float16)(0.0f);
  float16 acc0_256 = (float16)(0.0f);
  float16 acc0_272 = (float16)(0.0f);
  float16 acc0_288 = (float16)(0.0f);
  float16 acc0_304 = (float16)(0.0f);
  float16 acc0_320 = (float16)(0.0f);
  float16 acc0_336 = (float16)(0.0f);
  float16 acc0_352 = (float16)(0.0f);
  float16 acc0_368 = (float16)(0.0f);
  float16 acc0_384 = (float16)(0.0f);
  float16 acc0_400 = (float16)(0.0f);
  float16 acc0_416 = (float16)(0.0f);
  float16 acc0_432 = (float16)(0.0f);
  float16 acc0_448 = (float16)(0.0f);
  kf_for (int r1 = 0; r1 < 4; r1 += 1) {
    const float16 x0_1 = vload16(0, x0 + i0 + r1 * 3234);
    acc0_0 = acc0_0 + x0_1;
    const float16 x0_2 = vload16(0, x0 + i0 + r1 * 3234 + 16);
    acc0_16 = acc0_16 + x0_2;
    const float16 x0_3 = vload16(0, x0 + i0 + r1 * 3234 + 32);
    acc0_32 = acc0_32 + x0_3;
    const float16 x0_4 = vload16(0, x0 + i0 + r1 * 3234 + 48);
    acc0_48 = acc0_48 + x0_4;
    const float16 x0_5 = vload16(0, x0 + i0 + r1 * 3234 + 64);
    acc0_64 = acc0_64 + x0_5;
    const float16 x0_6 = vload16(0, x0 + i0 + r1 * 3234 + 80);
    acc0_80 = acc0_80 + x0_6;
    const float16 x0_7 = vload16(0, x0 + i0 + r1 * 3234 + 96);
    acc0_96 = acc0_96 + x0_7;
    const float16 x0_8 = vload16(0, x0 + i0 + r1 * 3234 + 112);
    acc0_112 = acc0_112 + x0_8;
    const float16 x0_9 = vload16(0, x0 + i0 + r1 * 3234 + 128);
    acc0_128 = acc0_128 + x0_9;
    const float16 x0_10 = vload16(0, x0 + i0 + r1 * 3234 + 144);
    acc0_144 = acc0_144 + x0_10;
    const float16 x0_11 = vload16(0, x0 + i0 + r1 * 3234 + 160);
    acc0_160 = acc0_160 + x0_11;
    const float16 x0_12 = vload16(0, x0 + i0 + r1 * 3234 + 176);
    acc0_176 = acc0_176 + x0_12;
    const float16 x0_13 = vload16(0, x0 + i0 + r1 * 3234 + 192);
    acc0_192 = acc0_192 + x0_13;
    const float16 x0_14 = vload16(0, x0 + i0 + r1 * 3234 + 208);
    acc0_208 = acc0_208 + x0_14;
    const float16 x0_15 = vload16(0, x0 + i0 + r1 * 3234 + 224);
    acc0_224 = acc0_224 + x0_15;
    const float16 x0_16 = vload16(0, x0 + i0 + r1 * 3234 + 240);
    acc0_240 = acc0_240 + x0_16;
    const float16 x0_17 = vload16(0, x0 + i0 + r1 * 3234 + 256);
    acc0_256 = acc0_256 + x0_17;
    const float16 x0_18 = vload16(0, x0 + i0 + r1 * 3234 + 272);
    acc0_272 = acc0_272 + x0_18;
    const float16 x0_19 = vload16(0, x0 + i0 + r1 * 3234 + 288);
    acc0_288 = acc0_288 + x0_19;
    const float16 x0_20 = vload16(0, x0 + i0 + r1 * 3234 + 304);
    acc0_304 = acc0_304 + x0_20;
    const float16 x0_21 = vload16(0, x0 + i0 + r1 * 3234 + 320);
    acc0_320 = acc0_320 + x0_21;
    const float16 x0_22 = vload16(0, x0 + i0 + r1 * 3234 + 336);
    acc0_336 = acc0_336 + x0_22;
    const float16 x0_23 = vload16(0, x0 + i0 + r1 * 3234 + 352);
    acc0_352 = acc0_352 + x0_23;
    const float16 x0_24 = vload16(0, x0 + i0 + r1 * 3234 + 368);
    acc0_368 = acc0_368 + x0_24;
    const float16 x0_25 = vload16(0, x0 + i0 + r1 * 3234 + 384);
    acc0_384 = acc0_384 + x0_25;
    const float16 x0_26 = vload16(0, x0 + i0 + r1 * 3234 + 400);
    acc0_400 = acc0_400 + x0_26;
    const float16 x0_27 = vload16(0, x0 + i0 + r1 * 3234 + 416);
    acc0_416 = acc0_416 + x0_27;
    const float16 x0_28 = vload16(0, x0 + i0 + r1 * 3234 + 432);
    acc0_432 = acc0_432 + x0_28;
    const float16 x0_29 = vload16(0, x0 + i0 + r1 * 3234 + 448);
    acc0_448 = acc0_448 + x0_29;
  }
  vstore16(acc0_0, 0, out + i0);
  vstore16(acc0_16, 0, out + i0 + 16);
  vstore16(acc0_32, 0, out + i0 + 32);
  vstore16(acc0_48, 0, out + i0 + 48);
  vstore16(acc0_64, 0, out + i0 + 64);
  vstore16(acc0_80, 0, out + i0 + 80);
  vstore16(acc0_96, 0, out + i0 + 96);
  vstore16(acc0_112, 0, out + i0 + 112);
  vstore16(acc0_128, 0, out + i0 + 128);
  vstore16(acc0_144, 0, out + i0 + 144);
  vstore16(acc0_160, 0, out + i0 + 160);
  vstore16(acc0_176, 0, out + i0 + 176);
  vstore16(acc0_192, 0, out + i0 + 192);
  vstore16(acc0_208, 0, out + i0 + 208);
  vstore16(acc0_224, 0, out + i0 + 224);
  vstore16(acc0_240, 0, out + i0 + 240);
  vstore16(acc0_256, 0, out + i0 + 256);
  vstore16(acc0_272, 0, out + i0 + 272);
  vstore16(acc0_288, 0, out + i0 + 288);
  vstore16(acc0_304, 0, out + i0 + 304);
  vstore16(acc0_320, 0, out + i0 + 320);
  vstore16(acc0_336, 0, out + i0 + 336);
  vstore16(acc0_352, 0, out + i0 + 352);
  vstore16(acc0_368, 0, out + i0 + 368);
  vstore16(acc0_384, 0, out + i0 + 384);
  vstore16(acc0_400, 0, out + i0 + 400);
  vstore16(acc0_416, 0, out + i0 + 416);
  vstore16(acc0_432, 0, out + i0 + 432);
  vstore16(acc0_448, 0, out + i0 + 448);
}
