// kernel   contract_7x4x16x2x16x2_k62x2x2_f32: m1 7, n 4, m2 16, b1 2, m3 16, b2 2, k1 62, k2 2, k3 2
// params   out float32[28672] written, x0 float32[111104], x1 float32[2232]
//          t0 = x0[m1*15872+m2*16+b1*-16+m3+b2*-1+k1*256+k2*-48+k3*-3+51 | 0<=m2+b1*-1+k2*-3+3<16, 0<=m3+b2*-1+k3*-3+3<16] * x1[n*9+b1*3+b2+k1*36+k2*6+k3*2-4 | 0<=b1+k2*2-1<3, 0<=b2+k3*2-1<3]     {m1 n m2 b1 m3 b2 k1 k2 k3}
//          t1 = add over k1 k2 k3 (t0)                                                  {m1 n m2 b1 m3 b2}
//          out[m1*4096+n*1024+m2*64+b1*32+m3*2+b2] = t1                                 {m1 n m2 b1 m3 b2}
//
// grid     b1 by 1, b2 by 1, m1 by 1, m3 by 1, n by 4, m2 by 16
// loop     m2 by 16, n by 4, k2 by 1, k3 by 1, k1 by 1
// vector   m2
// stage    pack x0[m1*15872+m2*16+b1*-16+m3+b2*-1+k1*256+k2*-48+k3*-3+51 | 0<=m2+b1*-1+k2*-3+3<16, 0<=m3+b2*-1+k3*-3+3<16] at 6 as (m2,16)(k2,1)(k3,1)(k1,1)(m2,1) pad 0
// stage    pack x1[n*9+b1*3+b2+k1*36+k2*6+k3*2-4 | 0<=b1+k2*2-1<3, 0<=b2+k3*2-1<3] at 6 as (k1,1)(n,1)(k2,1)(k3,1) pad 0
#pragma OPENCL FP_CONTRACT OFF
#define kf_for _Pragma("clang loop vectorize(disable) unroll(disable)") for
__constant int16 kf_lanes_int = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
__attribute__((reqd_work_group_size(1, 1, 1)))
__kernel void contract_7x4x16x2x16x2_k62x2x2_f32(__global float *restrict out, __global const float *restrict x0, __global const float *restrict x1) {
  const int b1_0 = (int)(get_group_id(0) / 224 % 2) * 1;
  const int b2_1 = (int)(get_group_id(0) / 112 % 2) * 1;
  const int m1_2 = (int)(get_group_id(0) / 16 % 7) * 1;
  const int m3_3 = (int)(get_group_id(0) / 1 % 16) * 1;
  float pack0[3968] __attribute__((aligned(64)));
  kf_for (int k1_4 = 0; k1_4 < 62; k1_4 += 1) {
    kf_for (int k2_5 = 0; k2_5 < 2; k2_5 += 1) {
      kf_for (int k3_6 = 0; k3_6 < 2; k3_6 += 1) {
        kf_for (int m2_7 = 0; m2_7 < 16; m2_7 += 16) {
          const int16 inside_1 = (kf_lanes_int >= 0 - (m2_7 - b1_0 + k2_5 * -3 + 3)) & (kf_lanes_int < 16 - (m2_7 - b1_0 + k2_5 * -3 + 3));
          const int16 safe_2 = select((int16)(0), m1_2 * 15872 + m2_7 * 16 + b1_0 * -16 + m3_3 - b2_1 + k1_4 * 256 + k2_5 * -48 + k3_6 * -3 + 51 + kf_lanes_int * 16, inside_1);
          const float16 x0_3 = (m3_3 - b2_1 + k3_6 * -3 >= -3 && m3_3 - b2_1 + k3_6 * -3 < 13) ? select((float16)(0.0f), (float16)(x0[safe_2.s0], x0[safe_2.s1], x0[safe_2.s2], x0[safe_2.s3], x0[safe_2.s4], x0[safe_2.s5], x0[safe_2.s6], x0[safe_2.s7], x0[safe_2.s8], x0[safe_2.s9], x0[safe_2.sa], x0[safe_2.sb], x0[safe_2.sc], x0[safe_2.sd], x0[safe_2.se], x0[safe_2.sf]), inside_1) : (float16)(0.0f);
          vstore16(x0_3, 0, pack0 + m2_7 / 16 * 3968 + k2_5 * 1984 + k3_6 * 992 + k1_4 * 16);
        }
      }
    }
  }
  float pack1[992] __attribute__((aligned(64)));
  kf_for (int n4 = 0; n4 < 248; n4 += 1) {
    kf_for (int k2_5 = 0; k2_5 < 2; k2_5 += 1) {
      kf_for (int k3_6 = 0; k3_6 < 2; k3_6 += 1) {
        const float x1_4 = (b1_0 + k2_5 * 2 >= 1 && b2_1 + k3_6 * 2 >= 1) ? x1[n4 * 9 + b1_0 * 3 + b2_1 + k2_5 * 6 + k3_6 * 2 - 4] : 0.0f;
        pack1[n4 * 4 + k2_5 * 2 + k3_6] = x1_4;
      }
    }
  }
  float16 acc2_0_0 = (float16)(0.0f);
  float16 acc2_1_0 = (float16)(0.0f);
  float16 acc2_2_0 = (float16)(0.0f);
  float16 acc2_3_0 = (float16)(0.0f);
  const int first_5 = clamp((int)((b1_0 * -1 + -10) / 3), (int)0, (int)(2 - 0 - 1));
  const int first_6 = first_5 + clamp((int)((b1_0 * -1 + 2) / 2 - first_5), (int)0, (int)(2 - first_5 - 1));
  const int last_7 = max((int)(first_6 + 1), min((int)(2), (int)((b1_0 * -1 + 21) / 3)));
  kf_for (int k2_4 = first_6; k2_4 < last_7; k2_4 += 1) {
    const int first_8 = clamp((int)((m3_3 + b2_1 * -1 + -10) / 3), (int)0, (int)(2 - 0 - 1));
    const int first_9 = first_8 + clamp((int)((b2_1 * -1 + 2) / 2 - first_8), (int)0, (int)(2 - first_8 - 1));
    const int last_10 = max((int)(first_9 + 1), min((int)(2), (int)((m3_3 + b2_1 * -1 + 6) / 3)));
    kf_for (int k3_5 = first_9; k3_5 < last_10; k3_5 += 1) {
      kf_for (int k1_6 = 0; k1_6 < 62; k1_6 += 1) {
        const float16 pack_11 = vload16(0, pack0 + k2_4 * 1984 + k3_5 * 992 + k1_6 * 16);
        const float pack_12 = pack1[k1_6 * 16 + k2_4 * 2 + k3_5];
        acc2_0_0 = fma(pack_11, (float16)(pack_12), acc2_0_0);
        const float pack_13 = pack1[k1_6 * 16 + k2_4 * 2 + k3_5 + 4];
        acc2_1_0 = fma(pack_11, (float16)(pack_13), acc2_1_0);
        const float pack_14 = pack1[k1_6 * 16 + k2_4 * 2 + k3_5 + 8];
        acc2_2_0 = fma(pack_11, (float16)(pack_14), acc2_2_0);
        const float pack_15 = pack1[k1_6 * 16 + k2_4 * 2 + k3_5 + 12];
        acc2_3_0 = fma(pack_11, (float16)(pack_15), acc2_3_0);
      }
    }
  }
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1] = acc2_0_0.s0;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 64] = acc2_0_0.s1;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 128] = acc2_0_0.s2;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 192] = acc2_0_0.s3;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 256] = acc2_0_0.s4;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 320] = acc2_0_0.s5;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 384] = acc2_0_0.s6;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 448] = acc2_0_0.s7;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 512] = acc2_0_0.s8;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 576] = acc2_0_0.s9;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 640] = acc2_0_0.sa;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 704] = acc2_0_0.sb;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 768] = acc2_0_0.sc;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 832] = acc2_0_0.sd;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 896] = acc2_0_0.se;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 960] = acc2_0_0.sf;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 1024] = acc2_1_0.s0;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 1024 + 64] = acc2_1_0.s1;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 1024 + 128] = acc2_1_0.s2;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 1024 + 192] = acc2_1_0.s3;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 1024 + 256] = acc2_1_0.s4;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 1024 + 320] = acc2_1_0.s5;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 1024 + 384] = acc2_1_0.s6;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 1024 + 448] = acc2_1_0.s7;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 1024 + 512] = acc2_1_0.s8;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 1024 + 576] = acc2_1_0.s9;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 1024 + 640] = acc2_1_0.sa;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 1024 + 704] = acc2_1_0.sb;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 1024 + 768] = acc2_1_0.sc;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 1024 + 832] = acc2_1_0.sd;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 1024 + 896] = acc2_1_0.se;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 1024 + 960] = acc2_1_0.sf;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 2048] = acc2_2_0.s0;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 2048 + 64] = acc2_2_0.s1;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 2048 + 128] = acc2_2_0.s2;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 2048 + 192] = acc2_2_0.s3;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 2048 + 256] = acc2_2_0.s4;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 2048 + 320] = acc2_2_0.s5;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 2048 + 384] = acc2_2_0.s6;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 2048 + 448] = acc2_2_0.s7;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 2048 + 512] = acc2_2_0.s8;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 2048 + 576] = acc2_2_0.s9;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 2048 + 640] = acc2_2_0.sa;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 2048 + 704] = acc2_2_0.sb;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 2048 + 768] = acc2_2_0.sc;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 2048 + 832] = acc2_2_0.sd;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 2048 + 896] = acc2_2_0.se;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 2048 + 960] = acc2_2_0.sf;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 3072] = acc2_3_0.s0;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 3072 + 64] = acc2_3_0.s1;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 3072 + 128] = acc2_3_0.s2;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 3072 + 192] = acc2_3_0.s3;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 3072 + 256] = acc2_3_0.s4;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 3072 + 320] = acc2_3_0.s5;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 3072 + 384] = acc2_3_0.s6;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 3072 + 448] = acc2_3_0.s7;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 3072 + 512] = acc2_3_0.s8;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 3072 + 576] = acc2_3_0.s9;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 3072 + 640] = acc2_3_0.sa;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 3072 + 704] = acc2_3_0.sb;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 3072 + 768] = acc2_3_0.sc;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 3072 + 832] = acc2_3_0.sd;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 3072 + 896] = acc2_3_0.se;
  out[m1_2 * 4096 + b1_0 * 32 + m3_3 * 2 + b2_1 + 3072 + 960] = acc2_3_0.sf;
}
